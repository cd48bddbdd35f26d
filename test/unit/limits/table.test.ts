/** The table of limits, row by row: what it says is what the schema, the pages, the plan, and the review of a file say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { CgroupLimit, LimitRow } from '../../../src/limits/row.ts';
import {
  composeNames,
  LIMIT_GROUPS,
  LIMIT_ROWS,
  LIMITS,
  otherWords,
  type LimitKey,
} from '../../../src/limits/table.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import { planToJson } from '../../../src/show/plan-json.ts';
import { audit } from '../../../src/review/audit.ts';
import { diff } from '../../../src/review/diff.ts';
import { loadSpecText } from '../../../src/spec/load.ts';
import { didYouMean } from '../../../src/spec/suggest.ts';
import { ROOT_HOST, ROOT_V2_HOST, UNIFIED_HOMES, USER_HOST } from '../../support/host-facts.ts';
import { planOf } from '../../support/plan.ts';

interface Node {
  readonly description?: string;
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly examples?: readonly unknown[];
  readonly 'x-compose'?: unknown;
}
interface Schema extends Node {
  readonly definitions: Readonly<Record<string, Node>>;
}
const specs = join(import.meta.dirname, '../../../specs');
const SCHEMA = JSON.parse(readFileSync(join(specs, 'container.schema.json'), 'utf8')) as Schema;
const PAGE = readFileSync(join(specs, 'limits.md'), 'utf8');

function nodeAt(path: string): Node | undefined {
  let node: Node | undefined = SCHEMA;
  for (const name of path.split('.')) node = node?.properties?.[name];
  return node?.$ref === undefined ? node : { ...SCHEMA.definitions[node.$ref.split('/').at(-1) ?? ''], ...node };
}

/** The keys below `limits` that have none below them. */
function leaves(node: Node | undefined, path = ''): readonly string[] {
  return Object.entries(node?.properties ?? {}).flatMap(([key, child]) => {
    const full = path === '' ? key : `${path}.${key}`;
    return child.properties === undefined ? [full] : leaves(child, full);
  });
}

/** Examples that the hosts of these tests can have. */
const EXAMPLES: Readonly<Partial<Record<LimitKey, unknown>>> = {
  cpuset: '0-1',
  'blkio_config.weight_device': [{ path: '8:0', weight: 300 }],
  'blkio_config.device_read_bps': [{ path: '8:0', rate: '10MiB' }],
  'blkio_config.device_write_bps': [{ path: '8:0', rate: '10MiB' }],
  'blkio_config.device_read_iops': [{ path: '8:0', rate: 1000 }],
  'blkio_config.device_write_iops': [{ path: '8:0', rate: 1000 }],
};
const exampleOf = (key: LimitKey): unknown => EXAMPLES[key] ?? nodeAt(`limits.${key}`)?.examples?.[0];

const isOfNetwork = (key: LimitKey): boolean => key.startsWith('network.');

/** A file with the limit, and those that it cannot be without. */
function fileWith(key: LimitKey, value: unknown): string {
  const limits: Record<string, unknown> = {};
  const { needs, within }: LimitRow = LIMITS[key];
  if (needs !== undefined || within !== undefined) limits['memory'] = '1TiB';
  const [top = '', below] = key.split('.');
  if (value !== undefined) limits[top] = below === undefined ? value : { [below]: value };
  const network = isOfNetwork(key) ? { network_mode: 'bridge' } : {};
  return stringify({ name: 'box', image: { host_tools: ['sh'] }, command: ['sh'], ...network, limits });
}
const load = (text: string) =>
  loadSpecText(text, 'container.yaml', { env: {}, home: '/home/me', folder: '/project', review: true });

const controllers = [...UNIFIED_HOMES.parent.controllers, 'hugetlb'] as const;
const V2_HOST = {
  ...ROOT_V2_HOST,
  cgroup: {
    ...ROOT_V2_HOST.cgroup,
    controllers: { ...ROOT_V2_HOST.cgroup.controllers, hugetlb: { usable: true, version: 2 } },
    unified: [{ ...UNIFIED_HOMES.parent, controllers }],
    ioWeight: 'io.bfq.weight',
  },
} as const;

/** The files below the container's cgroup that steps of this kind name, for the line of this key. */
function filesOf(plan: Plan, name: 'read' | 'write', key: string): readonly string[] {
  return plan.steps.flatMap(({ call, because }) => {
    const isOwn = because.kind === 'spec' && `${because.path}.`.startsWith(`limits.${key}.`);
    const path = call.name === name && isOwn ? call.args.pathname : undefined;
    return typeof path === 'string' && path !== 'cgroup.subtree_control' ? [path] : [];
  });
}

const ROWS = LIMIT_ROWS.map(([key, row]) => [key, row] as const);
const CGROUP_ROWS = LIMIT_ROWS.flatMap(([key, { cgroup }]): readonly (readonly [LimitKey, CgroupLimit])[] =>
  cgroup === undefined ? [] : [[key, cgroup]],
);

describe('the documents', () => {
  test('the schema has each limit of the table, and no other key but `optional`', () => {
    expect(leaves(nodeAt('limits'))).toEqual([...Object.keys(LIMITS), 'optional']);
  });

  test.each(ROWS)(
    'the schema describes limits.%s with the sentence of the table, with an example',
    (key, { about }) => {
      expect(nodeAt(`limits.${key}`)).toMatchObject({ description: about, examples: expect.anything() as unknown });
    },
  );

  test.each(ROWS)('the page of limits has a row for %s, which names its files', (key, { cgroup, appliedBy }) => {
    const row = PAGE.split('\n').find((line) => line.startsWith(`| \`${key}\` `)) ?? '';
    const names = cgroup === undefined ? [appliedBy] : [cgroup.v1 ?? 'refused', cgroup.v2];
    for (const name of names) expect(row).toContain(name);
  });

  test.each(composeNames())('the schema has Compose’s name %s for limits.%s', (name, key) => {
    expect(nodeAt(name)).toMatchObject({ 'x-compose': `limits.${key}`, examples: expect.anything() as unknown });
  });

  test('the schema has no other names of Compose for limits', () => {
    const all = (node: Node, path = ''): readonly string[] =>
      Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
        const full = path === '' ? name : `${path}.${name}`;
        const isLimit = String(child['x-compose']).startsWith('limits.');
        return child['x-compose'] === undefined ? [] : isLimit ? [full] : all(child, full);
      });
    expect([...all(SCHEMA)].sort()).toEqual(
      composeNames()
        .map(([name]) => name)
        .sort(),
    );
  });
});

describe('what a file says', () => {
  test.each(ROWS)('limits.%s becomes a field of the specification', (key, { field }) => {
    expect(load(fileWith(key, exampleOf(key))).spec.limits).toHaveProperty(field);
    expect(load(fileWith(key, undefined)).spec.limits[field]).toBe(
      field === 'memory' ? undefined : load(fileWith('time', undefined)).spec.limits[field],
    );
  });

  test.each(composeNames())('Compose’s %s is limits.%s', (name, key) => {
    const value = nodeAt(name)?.examples?.[0];
    const set = (into: Record<string, unknown>, [first = '', ...rest]: readonly string[]): void => {
      if (rest.length === 0) into[first] = value;
      else set((into[first] ??= {}) as Record<string, unknown>, rest);
    };
    const file = {
      image: { host_tools: ['sh'] },
      command: ['sh'],
      ...(name === 'memswap_limit' ? { mem_limit: '1m' } : {}),
    };
    set(file, name.split('.'));
    expect(load(stringify(file)).where(`limits.${key}`)).toBeDefined();
  });

  test.each(composeNames().flatMap(([name, key, { none = [] }]) => none.map((value) => [name, value, key] as const)))(
    'Compose’s %s: %i means no limit',
    (name, value, key) => {
      const parts = name.split('.').toReversed();
      let inner: unknown = value;
      for (const part of parts) inner = { [part]: inner };
      const text = stringify({ image: { host_tools: ['sh'] }, command: ['sh'], ...(inner as object) });
      expect(load(text).spec.limits).toEqual({ optional: false });
      expect(load(text).where(`limits.${key}`)).toBeUndefined();
    },
  );

  test('names of limits from other tools are answered with the key of the limit', () => {
    const meant = Object.keys(otherWords()).map((word) => [word, didYouMean(word, ['limits'])]);
    expect(Object.fromEntries(meant)).toEqual(otherWords());
    const keys = new Set(
      [...LIMIT_ROWS.map(([key]) => key), ...Object.keys(LIMIT_GROUPS)].map((key) => `limits.${key}`),
    );
    expect(Object.values(otherWords()).filter((path) => !keys.has(path))).toEqual([]);
  });
});

describe('the plan', () => {
  test.each(CGROUP_ROWS)(
    'limits.%s is written to its file of version 2, and read again where the table says so',
    (key, row) => {
      const plan = planOf(fileWith(key, exampleOf(key)), V2_HOST);
      const file = row.v2.replace('SIZE', '2MB');
      expect(filesOf(plan, 'write', key)).toEqual([file]);
      const again = row.readAgain === 'written' ? [file] : row.readAgain === undefined ? [] : [row.readAgain.v2];
      expect(filesOf(plan, 'read', key)).toEqual(again);
    },
  );

  test.each(CGROUP_ROWS)('limits.%s is written to its file of version 1, or refused at its line', (key, row) => {
    const yaml = fileWith(key, exampleOf(key));
    if (row.v1 === undefined) {
      const message = `the limit cannot be applied here: version 1 of cgroups has no ${row.v2}`;
      const at = expect.objectContaining({ line: load(yaml).where(`limits.${key}`)?.line }) as unknown;
      const code = 'E_LIMIT_UNAVAILABLE';
      expect(() => planOf(yaml, ROOT_HOST)).toThrow(expect.objectContaining({ code, message, at }) as Error);
      return;
    }
    const plan = planOf(yaml, ROOT_HOST);
    const file = row.v1.replace('SIZE', '2MB');
    expect(filesOf(plan, 'write', key).at(-1)).toBe(file);
    const again = row.readAgain === 'written' ? [file] : row.readAgain === undefined ? [] : [row.readAgain.v1];
    expect(filesOf(plan, 'read', key)).toEqual(again);
  });

  test.each(ROWS)(
    'limits.%s, unless it is a limit of a cgroup or of the network, changes the plan and writes no cgroup file',
    (key, { cgroup }) => {
      // The network's steps have tests of their own.
      if (cgroup !== undefined || isOfNetwork(key)) return;
      const without = planOf(fileWith(key, undefined), V2_HOST);
      const together = planOf(fileWith(key, exampleOf(key)), V2_HOST);
      expect(filesOf(together, 'write', key)).toEqual([]);
      expect(planToJson(together)).not.toEqual(planToJson(without));
    },
  );

  const counted = LIMIT_ROWS.filter(([, { reached }]) => reached !== undefined);
  test.each(counted)('limits.%s is reported by the counters of the table', (key, row) => {
    const hosts = [
      ['v1', ROOT_HOST],
      ['v2', V2_HOST],
    ] as const;
    for (const [version, host] of hosts) {
      const { reports } = planOf(fileWith(key, exampleOf(key)), host);
      const own = reports.filter(({ because }) => because.kind === 'spec' && because.path === `limits.${key}`);
      const expected = row.reached?.counters.map((counter) => ({ what: counter.what, ...counter[version] }));
      expect(own).toMatchObject(expected ?? []);
    }
  });
});

describe('the review', () => {
  test.each(ROWS)('limits.%s that is added counts as more or less, as the table says', (key, row) => {
    const changes = diff(load(fileWith(key, undefined)), load(fileWith(key, exampleOf(key))), USER_HOST);
    const directions = [...new Set(changes.map(({ direction }) => direction))];
    // Of a list of devices, the number that the example gives to one.
    const [device] = [exampleOf(key)].flat() as readonly unknown[];
    const value = typeof device === 'object' && device !== null ? (device as { weight?: number }).weight : device;
    const { unset, more } = row.diff === 'set' ? { unset: Number.POSITIVE_INFINITY, more: 'gains' } : row.diff;
    const less = more === 'gains' ? 'loses' : 'gains';
    const isMore = unset === 0 || (typeof value === 'number' && value > unset);
    expect(directions).toEqual([isMore ? more : less]);
  });

  test.each(LIMIT_ROWS.flatMap(([key, { audit: rule }]) => (rule === undefined ? [] : [[key, rule] as const])))(
    'an audit reports a file without limits.%s, and not one that follows its advice',
    (key, { rule, fix }) => {
      const rules = (text: string) => audit(load(text), USER_HOST).map((finding) => finding.rule as string);
      const base = 'image: {host_tools: [sh]}\ncommand: [sh]\n';
      expect(rules(base)).toContain(rule);
      expect(rules(`${base}${fix.replaceAll('`', '')}\n`)).not.toContain(rule);
      expect(LIMITS[key]).toHaveProperty('audit');
    },
  );
});
