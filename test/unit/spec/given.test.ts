import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { BoxctlError } from '../../../src/errors.ts';
import { loadSpecText } from '../../../src/spec/load.ts';
import type { GivenFile, Spec } from '../../../src/spec/spec.ts';
import { Hidden } from '../../../src/text/hidden.ts';

const load = (text: string, env: Readonly<Record<string, string>> = {}): Spec =>
  loadSpecText(`image: ./x.tar\n${text}`, '/project/container.yaml', {
    env,
    home: '/root',
    folder: '/project',
    review: true,
  }).spec;

function problemsOf(text: string): readonly string[] {
  try {
    load(text);
    return [];
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
    return error.diagnostics.map(({ at, message }) => `${at?.line}:${at?.column} ${message}`);
  }
}

const shortOf = ({ kind, name, target, mode, uid, gid, content }: GivenFile) =>
  [kind, name, target, mode.toString(8), uid, gid, content && Buffer.from(content.reveal()).toString()] as const;
const given = (text: string, env?: Readonly<Record<string, string>>) => load(text, env).given?.map(shortOf);

describe('secrets and configs', () => {
  it('of a map are at the place of their kind, for everybody to read', () => {
    expect(given('secrets: {a: {content: x}}\nconfigs: {b: {content: "$V"}}', { V: 'y' })).toEqual([
      ['secret', 'a', '/run/secrets/a', '444', undefined, undefined, 'x'],
      ['config', 'b', '/b', '444', undefined, undefined, 'y'],
    ]);
  });

  it('of a list say which they are, and may be at several places', () => {
    const text =
      'secrets: [{source: a, content: x, target: b/c, uid: "7", gid: 8, mode: 0o400}, {source: a, content: x, target: /d}]';
    expect(given(text)).toEqual([
      ['secret', 'a', '/run/secrets/b/c', '400', 7, 8, 'x'],
      ['secret', 'a', '/d', '444', undefined, undefined, 'x'],
    ]);
  });

  it('of a Compose file are what is declared beside its service', () => {
    const text = `services:
  web:
    image: {host_tools: [sh]}
    secrets: [a, {source: b, target: c, mode: "0440"}]
    configs: [{source: d, target: /etc/d}]
secrets: {a: {environment: V}, b: {content: y, labels: {x: y}}, unused: {file: ./nothing}}
configs: {d: {content: z}}
`;
    const { spec } = loadSpecText(text, '/project/container.yaml', {
      env: { V: 'x' },
      home: '/root',
      folder: '/project',
    });
    expect(spec.given?.map(shortOf)).toEqual([
      ['secret', 'a', '/run/secrets/a', '444', undefined, undefined, 'x'],
      ['secret', 'b', '/run/secrets/c', '440', undefined, undefined, 'y'],
      ['config', 'd', '/etc/d', '444', undefined, undefined, 'z'],
    ]);
  });

  it.each([
    ['secrets: [a]', '2:11 the file does not say what the secret `a` is'],
    ['secrets: {a: {}}', '2:11 the secret `a` says nothing of its content'],
    [
      'secrets: {a: {content: x, file: ./y}}',
      '2:11 the secret `a` comes from more than one of `file`, `environment` and `content`',
    ],
    ['secrets: {a: {content: x, target: ../b}}', '2:35 the target of a secret is a file; found "../b"'],
    ['secrets: {a: {content: x, target: /etc/}}', '2:35 the target of a secret is a file; found "/etc/"'],
    ['secrets: {a: {content: x, mode: 999}}', '2:33 999 is not octal permission bits'],
    ['secrets: {a: {content: x, uid: -1}}', '2:32 `secrets.a.uid` must be'],
    ['secrets: {a: {content: x, uid: "4294967295"}}', '2:32 an id is a number from 0 to 4294967294'],
    ['secrets: {a: {external: true}}', '2:15 `external` in `secrets.a` is not supported'],
    ['secrets: {a b: {content: x}}', '2:11 "a b" is not a name of a secret'],
    [
      'secrets: {a: {content: x}}\nvolumes: ["v:/run/secrets/a"]',
      '2:11 `secrets.a` is at /run/secrets/a, as `volumes.0` is already',
    ],
    ['secrets: {a: {content: x}}\nnamespaces: {mount: host}', '2:1 `secrets` needs a mount namespace'],
  ])('%s is an error at its place', (text, message) => {
    const found = problemsOf(text);
    expect(
      found.some((one) => one.startsWith(message)),
      found.join('\n'),
    ).toBe(true);
  });

  it('of a Compose file that are not declared are an error with the nearest name', () => {
    expect(problemsOf('x: y').length).toBe(1);
    const text = 'services: {web: {image: {host_tools: [sh]}, secrets: [tokn]}}\nsecrets: {token: {content: x}}\n';
    expect(() => loadSpecText(text, '/project/container.yaml', { env: {}, home: '/', folder: '/project' })).toThrow(
      expect.objectContaining({
        diagnostics: [expect.objectContaining({ message: '`tokn` is not declared', hint: 'did you mean `token`?' })],
      }),
    );
  });

  it('do not show what they hold, however they are printed', () => {
    const hidden = new Hidden(Buffer.from('word'));
    expect(
      [
        JSON.stringify({ hidden }),
        `${String(hidden)}`,
        inspect({ hidden }),
        inspect(load('secrets: {a: {content: word}}')),
      ].join(' '),
    ).not.toContain('word');
  });
});

describe('labels and annotations', () => {
  it('are a map or a list, with values as they are written', () => {
    expect(load('labels: {a: 1.10, b: true, c: null}').labels).toEqual({ a: '1.10', b: 'true', c: '' });
    expect(load('annotations: [a=b=c, d]').annotations).toEqual({ a: 'b=c', d: '' });
  });

  it('have each name once', () => {
    expect(problemsOf('labels: [a=1, a=2]')).toEqual(['2:15 `labels` has "a" twice']);
    expect(problemsOf('labels: ["=1"]')).toEqual(['2:10 "" cannot be the name of one of the labels']);
  });
});
