/** Go's templates, as far as `--format` knows them. */
import { describe, expect, test } from 'vitest';
import { parseTemplate } from '../../../src/text/template/parse.ts';
import { renderTemplate } from '../../../src/text/template/render.ts';
import { TemplateError } from '../../../src/text/template/template.ts';

const DATA = {
  ID: 'abc',
  Names: 'web',
  State: { Status: 'running', Pid: 7, Dead: false },
  Mounts: [{ Source: '/a' }, { Source: '/b' }],
  Args: ['x', 'y z'],
  Labels: new Map([
    ['b', '2'],
    ['a', '1'],
  ]),
  Label: (name: unknown) => `label ${String(name)}`,
};

const render = (text: string, data: unknown = DATA): string => renderTemplate(parseTemplate(text), data);

describe('a template', () => {
  test.each([
    ['{{.ID}} {{ .Names }}', 'abc web'],
    ['{{.State.Status}}/{{.State.Pid}}', 'running/7'],
    [String.raw`{{.ID}}\t{{.Names}}\n`, 'abc\tweb\n'],
    ['{{json .State}}', '{"Status":"running","Pid":7,"Dead":false}'],
    ['{{json .Labels}}', '{"a":"1","b":"2"}'],
    ['{{.State | json}}', '{"Status":"running","Pid":7,"Dead":false}'],
    ['{{upper .Names}} {{.Names | upper | lower}} {{title .Names}}', 'WEB web Web'],
    ['{{join .Args ", "}}', 'x, y z'],
    ['{{range .Mounts}}{{.Source}};{{end}}', '/a;/b;'],
    ['{{range .Mounts}}{{$.ID}}{{.Source}} {{end}}', 'abc/a abc/b '],
    ['{{range .Nothing}}x{{else}}none{{end}}', 'none', { Nothing: [] }],
    ['{{if .State.Dead}}dead{{else if eq .Names "web"}}web{{else}}alive{{end}}', 'web'],
    ['{{with .State}}{{.Status}}{{end}}', 'running'],
    ['{{index .Labels "a"}} {{.Labels.b}} {{index .Args 1}}', '1 2 y z'],
    ['{{.Label "com.example"}}', 'label com.example'],
    ['{{len .Args}} {{printf "%s-%d" .ID 3}} {{print (len .ID)}}', '2 abc-3 3'],
    ['a {{- " b" }} {{/* nothing */}}c', 'a b c'],
    ['{{.Labels}} {{.Args}}', 'map[a:1 b:2] [x y z]'],
    ['{{.Labels.none}}', '<no value>'],
    ['{{.State.Dead}} {{not .State.Dead}} {{and .ID .Names}} {{or "" .ID}}', 'false true web abc'],
    ['{{(index .Mounts 1).Source}} {{len (index .Mounts 0).Source}}', '/b 2'],
    ['no action', 'no action'],
  ])('%s is %s', (text, expected, data: object = DATA) => {
    expect(render(text, data)).toBe(expected);
  });

  test('with a field that there is not names it, and those that there are', () => {
    const broken = (): string => render('{{.State.Statu}}');
    expect(broken).toThrow('there is no field .Statu');
    try {
      broken();
    } catch (error) {
      expect(error).toMatchObject({ unknown: 'Statu', known: ['Status', 'Pid', 'Dead'] });
    }
  });

  test.each([
    ['{{.ID', 'a }} is missing'],
    ['{{.ID}} {{range .Args}}', 'the {{end}} of {{range}} is missing'],
    ['{{end}}', 'an {{end}} too many'],
    ['{{else}}', 'an {{else}} too many'],
    ['{{nothing .ID}}', 'no function nothing'],
    ['{{.ID | }}', 'a value is missing'],
    ['{{(.ID}}', 'a ) is missing'],
    ['{{"x}}', 'is not understood'],
    ['{{$x := 1}}', 'is not understood'],
    ['{{$x}}', 'variables'],
    ['{{.ID .Names}}', 'takes no arguments'],
    ['{{.constructor}}', 'no field'],
    ['{{.__proto__}}', 'no field'],
    ['{{constructor .ID}}', 'no function'],
    ['{{range .Args}}x{{end}}{{end}}', 'too many'],
    ['{{if .ID}}a{{else}}b{{else}}c{{end}}', 'too many'],
  ])('%s is a mistake: %s', (text, message) => {
    expect(() => render(text)).toThrow(message);
    expect(() => render(text)).toThrow(TemplateError);
  });
});
