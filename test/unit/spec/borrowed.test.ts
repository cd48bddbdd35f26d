/** A value of the caller's environment or of a file is in nothing that boxctl prints, whichever key it is put into. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { BoxctlError } from '../../../src/errors.ts';
import type { HostFacts } from '../../../src/host/facts.ts';
import { compile, ownershipFor } from '../../../src/model/compile.ts';
import { planContainer } from '../../../src/plan/container.ts';
import { planToJson } from '../../../src/show/plan-json.ts';
import { printPlan } from '../../../src/show/plan-text.ts';
import { audit } from '../../../src/review/audit.ts';
import { diff } from '../../../src/review/diff.ts';
import { explainFailure } from '../../../src/run/explain.ts';
import { createProgress } from '../../../src/show/progress.ts';
import { redactor } from '../../../src/text/borrowed.ts';
import { loadSpecText } from '../../../src/spec/load.ts';
import type { SpecDocument } from '../../../src/spec/spec.ts';
import { refuseUnpermitted } from '../../../src/trust/refuse.ts';
import { ROOT_HOST } from '../../support/host-facts.ts';
import { tempFolder } from '../../support/temp.ts';
import { testImage } from '../../support/model.ts';

interface Node {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly additionalProperties?: Node | boolean;
  readonly examples?: readonly unknown[];
  readonly definitions?: Readonly<Record<string, Node>>;
  readonly enum?: readonly unknown[];
}
const SCHEMA = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../specs/container.schema.json'), 'utf8'),
) as Node;
const resolve = (node: Node): Node =>
  node.$ref === undefined ? node : { ...SCHEMA.definitions?.[node.$ref.split('/').at(-1) ?? ''], ...node };

type Wrap = (value: unknown) => unknown;
type Place = readonly [path: string, wrap: Wrap, examples: readonly unknown[]];

/** Every place of a file at which a scalar may stand, and how to write a value there. */
function places(node: Node, path: string, wrap: Wrap, depth = 0): readonly Place[] {
  const full = resolve(node);
  const below = (name: string) => (path === '' ? name : `${path}.${name}`);
  const examples = [...(full.examples ?? []), ...(full.enum ?? [])];
  const own: Place[] = path === '' ? [] : [[path, wrap, examples.filter((one) => typeof one !== 'object')]];
  if (depth > 5) return own;
  const properties = Object.entries(full.properties ?? {}).flatMap(([key, child]) => {
    const others = key === 'type' || full.properties?.['type'] === undefined ? {} : { type: 'bind', source: '.' };
    return places(child, below(key), (value) => wrap({ ...others, target: undefined, [key]: value }), depth + 1);
  });
  const items = full.items === undefined ? [] : places(full.items, below('0'), (value) => wrap([value]), depth + 1);
  const more = typeof full.additionalProperties === 'object' ? full.additionalProperties : undefined;
  const named = more === undefined ? [] : places(more, below('MINE'), (value) => wrap({ MINE: value }), depth + 1);
  return [...own, ...properties, ...items, ...named];
}

/** In any letters: the value is a marker, or several with separators between them, or a number. */
const MARKER = /zq7|7371737/iu;
const VALUES = [
  `Zq7${'a'.repeat(100)}zq7`,
  'Zq7first:Zq7second=Zq7third,Zq7fourth/../zq7fifth//zq7sixth',
  'zq7first "quoted" \\ \n zq7second line',
  '7371737',
];

const OTHER = loadSpecText('image: {host_tools: [sh]}\n', '/other/container.yaml', { env: {}, home: '/root' });

/** Everything that boxctl would print of a file. */
function printed(text: string, env: Readonly<Record<string, string>>, folder: string): string {
  const out: string[] = [];
  const host: HostFacts = { ...ROOT_HOST, dirs: { store: '/var/lib/boxctl', state: '/run/boxctl' } };
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (!(error instanceof BoxctlError)) throw error;
      const { message, hint, diagnostics, at } = error;
      out.push(JSON.stringify({ message, hint, diagnostics, at }));
    }
  };
  const load = (review: boolean): SpecDocument =>
    loadSpecText(text, join(folder, 'container.yaml'), { env, home: '/root', review });
  for (const review of [false, true]) {
    attempt(() => {
      const document = load(review);
      out.push(JSON.stringify(document.warnings));
      attempt(() => out.push(JSON.stringify(audit(document, host))));
      attempt(() => out.push(JSON.stringify([diff(document, OTHER, host), diff(OTHER, document, host)])));
      attempt(() => {
        const image = { ...testImage('/image'), ownership: ownershipFor(document, host) };
        const model = compile(document, image, host, document.spec.command ? {} : { command: ['true'] });
        const plan = planContainer(model, image, host);
        out.push(
          printPlan(plan, { color: false, width: 100, file: 'container.yaml' }),
          JSON.stringify(planToJson(plan)),
        );
        const screen = { color: false, isTerminal: false, columns: () => 80, redraw: () => undefined };
        const write = (line: string) => void out.push(line);
        const all = [
          createProgress({ mode: 'verbose', plan, screen: { ...screen, write } }),
          createProgress({ mode: 'json', plan, screen: { ...screen, write } }),
        ];
        const last = plan.steps.length - 1;
        const asked = plan.steps.findLastIndex(({ because }) => because.kind === 'spec');
        for (const index of [asked, last]) {
          const step = { kind: 'step', index, outcome: 'done', startNs: 0, endNs: 1 } as const;
          for (const progress of all) progress.event(step);
          const outcome = {
            kind: 'failed',
            failed: { index, errno: 2, detail: 0 },
            undoFailures: [],
            said: '',
          } as const;
          const failure = explainFailure(plan, outcome as unknown as Parameters<typeof explainFailure>[1]);
          out.push(JSON.stringify([failure?.message, failure?.hint]));
        }
        attempt(() => refuseUnpermitted(model.demands, []));
      });
    });
  }
  // The folder has a random name, which can look like a marker.
  return out.join('\n').replaceAll(folder, '');
}

const folder = tempFolderFor();
function tempFolderFor(): () => string {
  return () => {
    const made = tempFolder();
    mkdirSync(join(made, 'src'));
    return made;
  };
}

const ALL = places(SCHEMA, '', (value) => value).map(([path, wrap, examples]) => [path, wrap, examples] as const);

test('the walk of the schema finds more than 120 places for a variable', () => {
  expect(ALL.length).toBeGreaterThan(120);
});

test.each(ALL)('the value of a variable in %s is not printed', (_path, wrap, examples) => {
  const cwd = folder();
  const forms = ['${V}', '/${V}', './${V}:/target', './src:/${V}', 'NAME=${V}', '${V}=x', '/dev/null:${V}'];
  const extended = examples.slice(0, 2).map((example) => `${String(example)}\${V}`);
  for (const form of [...forms, ...extended]) {
    const file = { image: { host_tools: ['sh'] }, ...(wrap(form) as object) };
    const text = stringify(JSON.parse(JSON.stringify(file)));
    for (const V of VALUES) {
      const found = printed(text, { V }, cwd);
      const at = found.search(MARKER);
      expect(at < 0 ? '' : `${text}\n${V}\n…${found.slice(Math.max(0, at - 300), at + 100)}`).toBe('');
    }
  }
});

test.each([
  ['limits: {cpus: "${V}"}', '1.375', /137500/u],
  ['limits: {memory: "${V}"}', '123456789', /1234\d{5}/u],
  ['limits: {memory: "${V}"}\nshm_size: "${V}"', '117m', /122683392|117m/u],
  ['tmpfs: ["/t:size=${V}"]', '123456789', /1234\d{5}/u],
  ['network_mode: bridge\nports: ["${V}:80"]', '54321', /54321/u],
  ['network_mode: bridge\nports: ["127.0.0.1:8080:${V}"]', '54321', /54321/u],
  ['network_mode: bridge\nports: [{target: 80, published: "${V}"}]', '54321', /54321/u],
  ['network_mode: bridge\negress: ["${V}:443"]', '10.11.12.13', /10\.11\.12\.13|0a0b0c0d/u],
  ['network_mode: bridge\negress: ["192.0.2.7:${V}"]', '54321', /54321/u],
  ['network_mode: bridge\negress: ["${V}"]', '2001:DB8:77::', /2001:db8:77/iu],
  ['network_mode: bridge\nmac_address: "${V}"', '02-42-AC-11-00-77', /02:42:ac:11:00:77/u],
  ['extra_hosts: ["db=${V}"]', '2001:DB8:77::5', /2001:db8:77/iu],
  ['dns: "${V}"', '2001:DB8:77::5', /2001:db8:77/iu],
  [
    'networks: {a: {aliases: ["${V}"], ipv4_address: 172.30.0.9, ipam: {config: [{subnet: "172.30.0.0/24"}]}}}',
    'aliaszq7',
    /aliaszq7/u,
  ],
  ['limits: {network: {egress: "${V}"}}\nnetwork_mode: bridge', '123mbit', /123000000|15375000/u],
])('a value that %s converts is not printed in the steps of the plan', (key, V, other) => {
  const document = loadSpecText(`image: {host_tools: [sh]}\n${key}\n`, join(folder(), 'container.yaml'), {
    env: { V },
    home: '/root',
  });
  const image = { ...testImage('/image'), ownership: ownershipFor(document, ROOT_HOST) };
  const plan = planContainer(compile(document, image, ROOT_HOST, { command: ['true'] }), image, ROOT_HOST);
  expect(printPlan(plan, { color: false, width: 100, file: 'container.yaml' })).not.toMatch(other);
  expect(JSON.stringify((planToJson(plan) as { steps: unknown }).steps)).not.toMatch(other);
});

test('an error about a variable’s value quotes the variable’s name', () => {
  const env = { TOKEN: 'ghp_zq7', BIG: '12 potatoes' };
  const told = printed(
    'image: {host_tools: [sh]}\nulimits: {core: "${TOKEN}"}\nlimits: {memory: "${BIG}"}\n',
    env,
    folder(),
  );
  expect(told).toContain('found the text \\"${TOKEN}\\"');
  expect(told).toContain('\\"${BIG}\\" is not a size');
});

test('the message of a required variable is printed as the file has it', () => {
  const told = printed('image: {host_tools: [sh]}\nname: "${NOPE:?${TOKEN} $TOKEN}"\n', { TOKEN: 'zq7' }, folder());
  expect(told).toContain('the variable NOPE is required: ${TOKEN} $TOKEN');
  expect(told).not.toMatch(MARKER);
});

test('neither lines nor values of an env_file are printed, nor the text of a seccomp profile', () => {
  const cwd = folder();
  const outside = tempFolder();
  const lines =
    'A=zq7value\nB="zq7 over\nlines"\nzq7name\nzq7 no pair\nD=${zq7unset}\nE=$$zq7\n-----BEGIN zq7-----\nF=\'zq7\n';
  for (const file of [join(cwd, 'x.env'), join(outside, 'x.env')]) writeFileSync(file, lines);
  writeFileSync(join(cwd, 'good.env'), 'A=zq7value\nB="zq7 over\nlines"\nzq7name\nD=${zq7unset:-zq7}\n');
  const profiles = ['zq7 is no JSON', '{"zq7": 1}', '{"defaultAction": "zq7"}', '["zq7"]', '{"defaultAction": zq7}'];
  for (const [index, text] of profiles.entries()) writeFileSync(join(cwd, `${index}.json`), text);
  const keys = [
    'env_file: ./x.env',
    'env_file: ./good.env',
    `env_file: ${join(outside, 'x.env')}`,
    'env_file: [{path: ./good.env, format: raw}]',
    'env_file: [{path: ./x.env, format: raw}]',
    ...profiles.map((_text, index) => `seccomp: ./${index}.json`),
  ];
  for (const key of keys) {
    const told = printed(`image: {host_tools: [sh]}\ncommand: [sh]\n${key}\n`, {}, cwd);
    expect({ key, told: MARKER.exec(told)?.input }).toEqual({ key, told: undefined });
  }
});

test('a variable that goes to the container is printed by its name', () => {
  const text =
    'image: {host_tools: [sh]}\ncommand: [sh, "${WORD}"]\nenvironment: {TOKEN: null, N: "${N}", L: "of the file"}\n';
  const told = printed(text, { TOKEN: 'zq7', WORD: 'zq7', N: '1' }, folder());
  for (const line of ['TOKEN=${TOKEN}', 'N=${N}', 'L=of the file', '"${WORD}"']) expect(told).toContain(line);
});

test('an image that must be allowed is not opened by the loader, and cannot be allowed afterwards', () => {
  const cwd = folder();
  const outside = join(tempFolder(), 'secret.tar');
  writeFileSync(outside, 'zq7');
  chmodSync(outside, 0o600);
  const document = loadSpecText(`image: ${outside}\n`, join(cwd, 'container.yaml'), { env: {}, home: '/root' });
  expect(document.files).toMatchObject([{ kind: 'image', readable: false }]);
  const demands = compile(document, testImage('/image'), ROOT_HOST, { command: ['true'] }).demands;
  // What was not read cannot be allowed after the fact.
  const all = [{ kind: 'all', value: undefined, readOnly: false }] as const;
  expect(() => refuseUnpermitted(demands, all)).toThrow(expect.objectContaining({ code: 'E_NOT_ALLOWED' }));
});

test('a short value is replaced only in the key that it was put into', () => {
  const redact = redactor([{ path: 'command.1', value: 'true', shown: '${CI}' }]);
  expect(redact('/bin/true')).toBe('/bin/true');
  expect(redact('/bin/true', 'image')).toBe('/bin/true');
  expect(redact('true', 'command')).toBe('${CI}');
});

test('a value of any size and with any number of lines is replaced, in any letters', () => {
  const lines = Array.from({ length: 40_000 }, (_, index) => `line-${index}`).join('\n');
  const long = 'Zq7'.repeat(40_000);
  const redact = redactor([
    { path: 'command.1', value: long, shown: '${LONG}' },
    { path: 'command.2', value: lines, shown: '${LINES}' },
  ]);
  expect(redact(`\u0130 <${long.toLowerCase()}> <${long}>`)).toBe('\u0130 <${LONG}> <${LONG}>');
  expect(redact('at LINE-39999, and', 'command.2')).toBe('at ${LINES}, and');
  expect(redact(lines)).toBe('${LINES}');
});
