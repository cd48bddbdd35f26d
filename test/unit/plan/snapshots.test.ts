/**
 * Whole plans, kept beside this file, and what each key and each kind of host changes in them. When a plan is meant to
 * change, `npm test -- --project unit plan -u` writes them anew, and the difference is for the reviewer to read.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import type { Overrides } from '../../../src/model/compile.ts';
import { encodePlan } from '../../../src/launcher/encode.ts';
import { formatCall } from '../../../src/show/call-text.ts';
import { messageInWords, messagesOf, setTypes } from '../../../src/show/netlink-text.ts';
import { planToJson } from '../../../src/show/plan-json.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import {
  ROOT_HOST,
  ROOT_V2_HOST,
  UNIFIED_HOMES,
  onUnified,
  USER_ALONE_HOST,
  USER_HOST,
} from '../../support/host-facts.ts';
import {
  FILE,
  NETWORK,
  OPEN_NETWORK,
  ROOT_NETWORK,
  ROOT_NETWORK_HOST,
  withPrograms,
} from '../../support/network-plans.ts';
import { differences, linesOf, planOf } from '../../support/plan.ts';

const SCHEMA = join(import.meta.dirname, '../../../specs/plan.schema.json');
const isPlan = new Ajv({ allErrors: true }).compile(JSON.parse(readFileSync(SCHEMA, 'utf8')) as object);

const LIMITS = `${FILE}limits: {memory: 64MiB, swap: 0, pids: 50, cpus: 1.5}\n`;

const ALL_LIMITS = `${FILE}limits:
  memory: 64MiB
  cpu_shares: 512
  cpuset: 0,1-2
  blkio_config:
    weight: 300
    weight_device: [{path: "8:0", weight: 20}]
    device_read_bps: [{path: "8:0", rate: 1MiB}]
    device_write_iops: [{path: "8:16", rate: 100}]
`;
const ALL_LIMITS_V2 = `${ALL_LIMITS}  memory_high: 48MiB
  memory_low: 16MiB
`;

const KINDS = ['pid', 'uts', 'ipc', 'net', 'user', 'cgroup', 'time', 'mount'] as const;
const ALL_JOINED = KINDS.map((kind) => `${kind}: /proc/5/ns/${kind === 'mount' ? 'mnt' : kind}`).join(', ');

/** What holds for every plan. */
function check(plan: Plan): void {
  isPlan(JSON.parse(JSON.stringify(planToJson(plan))));
  expect(isPlan.errors).toBeNull();
  expect(repeated(plan.steps.map(({ id }) => id))).toEqual([]);
  expect(repeated(plan.steps.flatMap(({ call }) => ('returns' in call ? [call.returns] : [])))).toEqual([]);
  expect(encodePlan(plan, { gate: true }).byteLength).toBeGreaterThan(0);
  expect(withoutWords(plan)).toEqual([]);
  expect(changesAhead(plan)).toEqual([]);
  expect(hidesBeforeRecord(plan)).toBe(false);
}

/** Names of steps, and of the descriptors that they return, which later steps and undos use. */
function repeated(names: readonly unknown[]): readonly unknown[] {
  return names.filter((name, place) => name !== undefined && names.indexOf(name) < place);
}

/** Whether the first process cannot be looked at any more (proc(5), ns(7)) when it is to be recorded by its mount namespace. */
function hidesBeforeRecord({ steps }: Plan): boolean {
  const hides = steps.findIndex(({ id }) => id === 'dumpable');
  const names = steps.findIndex(({ call }) => formatCall(call).includes('$MOUNTS'));
  return hides >= 0 && hides < names;
}

/** Calls about the launcher and the first process alone: what they do ends with these. */
const OWN = /: (?:chdir|clone3|fsconfig|fsmount|fsopen|make_init|mount_setattr|prctl|setres[ug]id|umask|unshare)\(/u;
const OF_CHILD = /\(AT_FDCWD, "\/proc\/\$CHILD\/|posix_spawn\("\/usr\/bin\/new[ug]idmap"|^sysctl\./u;

/** The calls before `outside` that change anything else, or look at it. */
function changesAhead({ steps, outside }: Plan): readonly string[] {
  const ahead = steps.slice(
    0,
    Math.max(
      0,
      steps.findIndex(({ id }) => id === outside),
    ),
  );
  return ahead
    .map(({ id, call }) => `${id}: ${formatCall(call)}`)
    .filter((line) => !OWN.test(line) && !OF_CHILD.test(line));
}

/** Netlink messages of the plan that have no words, and would be printed by their attributes. */
function withoutWords(plan: Plan): readonly string[] {
  const sets = setTypes(plan.steps.flatMap(({ call }) => messagesOf(call)));
  const calls = plan.steps.flatMap(({ call, undo }) => [call, ...(typeof undo === 'string' ? [] : undo)]);
  const questions = calls.flatMap((call) => (call.name === 'netlink_once' ? call.args.question : []));
  const messages = [
    ...calls.flatMap(messagesOf),
    ...questions,
    ...(plan.tallies ?? []).map(({ question }) => question),
  ];
  return messages.filter((one) => messageInWords(one, sets) === undefined).map((one) => JSON.stringify(one));
}

function checked(yaml: string, host: HostFacts, overrides: Overrides = {}): readonly string[] {
  const plan = planOf(yaml, host, overrides);
  check(plan);
  expect(linesOf(planOf(yaml, host, overrides)), 'the same input gives the same plan').toEqual(linesOf(plan));
  return linesOf(plan);
}

const snapshot = (name: string): string => join(import.meta.dirname, 'snapshots', `${name}.txt`);

test.each([
  ['root', FILE, ROOT_HOST],
  ['user', FILE, USER_HOST],
  ['root-host-mount', `name: box\ncommand: [sh]\nnamespaces: {mount: host}\n`, ROOT_HOST],
  ['root-joined-mount', `name: box\ncommand: [sh]\nnamespaces: {user: host, mount: /proc/5/ns/mnt}\n`, ROOT_HOST],
  ['root-joined-all', `name: box\ncommand: [sh]\nnamespaces: {${ALL_JOINED}}\n`, ROOT_HOST],
])('the plan of %s is as in its snapshot', async (name, yaml, host) => {
  await expect(`${checked(yaml, host).join('\n')}\n`).toMatchFileSnapshot(snapshot(name));
});

test('a process that is recorded by its mount namespace is recorded before it hides, also without a cgroup', () => {
  for (const host of [{ ...ROOT_HOST, cgroup: USER_HOST.cgroup }, USER_HOST, USER_ALONE_HOST]) {
    expect(checked(`${FILE}namespaces: {pid: host}\n`, host).join('\n')).toContain('$MOUNTS');
  }
});

test('steps of two paths that give the same name, and the descriptors that they return, have names of their own', () => {
  const paths = 'tmpfs: [/a/b, /a.b]\ndevices: ["/dev/full:/dev/a/b", "/dev/zero:/dev/a.b"]\n';
  for (const host of [ROOT_HOST, USER_HOST]) {
    expect(checked(`${FILE}${paths}`, host).join('\n')).toContain(' = mount.a.b.fsmount#2');
  }
});

describe('the difference from the plan of root', () => {
  test.each<[name: string, yaml: string, host?: HostFacts, overrides?: Overrides]>([
    ['limits-v1', LIMITS],
    ['limits-v2', LIMITS, ROOT_V2_HOST],
    ['all-limits-v1', ALL_LIMITS],
    ['all-limits-v2', ALL_LIMITS_V2, ROOT_V2_HOST],
    ['limits-own-cgroup', LIMITS, onUnified(ROOT_HOST, UNIFIED_HOMES.own)],
    ['v2', FILE, ROOT_V2_HOST],
    ['read-only', `${FILE}read_only: true\n`],
    ['init', `${FILE}init: true\n`],
    ['init-host-pid', `${FILE}init: true\nnamespaces: {pid: host}\n`],
    ['tty', FILE, ROOT_HOST, { tty: true, stdinOpen: true }],
    ['user-key', `${FILE}user: app\n`],
    ['working-dir', `${FILE}working_dir: /a/b\n`],
    ['names', `${FILE}hostname: inside\ndomainname: example.internal\n`],
    ['maps', `${FILE}uid_map: ["0:200000:10", "10:5:1"]\ngid_map: [{container: 0, host: 300000, size: 10}]\n`],
    ['volumes', `${FILE}volumes: ["./:/src:ro", "/etc/passwd:/etc/passwd", "~/:/home/me"]\n`],
    ['volume-made', `${FILE}volumes: [{type: bind, source: ./new, target: /n, bind: {create_host_path: true}}]\n`],
    ['tmpfs', `${FILE}tmpfs: ["/tmp:size=1m,mode=700", "/run/x:ro"]\n`],
    ['no-namespace-but-mount', `${FILE}namespaces: [mount]\n`],
    ['devices', `${FILE}devices: ["/dev/full:/dev/mine:r", "/dev/random:/dev/a/random"]\n`],
    ['devices-v2', `${LIMITS}devices: ["/dev/full:/dev/mine:r"]\n`, ROOT_V2_HOST],
    ['host-user-v2', `${FILE}namespaces: {user: host}\n`, ROOT_V2_HOST],
    ['privileged', `${FILE}privileged: this container may harm the host\nnamespaces: {user: host}\n`],
    ['network', OPEN_NETWORK, ROOT_NETWORK_HOST],
    ['network-all', ROOT_NETWORK, ROOT_NETWORK_HOST],
    ['joined-net', `${FILE}namespaces: {net: /proc/5/ns/net}\n`],
    ['joined-pid-and-user', `${FILE}namespaces: {pid: /proc/5/ns/pid, user: /proc/5/ns/user}\n`],
    ['joined-user', `${FILE}namespaces: {user: /proc/5/ns/user}\n`],
    ['joined-time', `${FILE}namespaces: {time: /proc/5/ns/time}\n`],
    ['joined-cgroup', `${FILE}namespaces: {cgroup: /proc/5/ns/cgroup}\n`],
    ...(['pid', 'uts', 'ipc', 'net', 'user', 'cgroup', 'time'] as const).map((kind): [string, string] => [
      `host-${kind}`,
      `${FILE}namespaces: {${kind}: host}\n`,
    ]),
  ])('is as in the snapshot %s', async (name, yaml, host = ROOT_HOST, overrides = {}) => {
    const lines = differences(checked(FILE, ROOT_HOST), checked(yaml, host, overrides));
    await expect(lines).toMatchFileSnapshot(snapshot(`root-${name}`));
  });
});

describe('the difference from the plan of an ordinary user', () => {
  test.each<[name: string, yaml: string, host?: HostFacts]>([
    ['alone', FILE, USER_ALONE_HOST],
    ['limits-scope', LIMITS, onUnified(USER_HOST, UNIFIED_HOMES.scope)],
    ['optional-limits', `${FILE}limits: {memory: 64MiB, pids: 5, optional: true}\n`],
    ['volumes', `${FILE}volumes: ["./:/src:ro"]\n`],
    ['host-net', `${FILE}namespaces: {net: host}\n`],
    ['user-key', `${FILE}user: app\n`],
    ['network-slirp4netns', NETWORK, withPrograms({ slirp4netns: '/usr/bin/slirp4netns' })],
    ['network-pasta', NETWORK, withPrograms({ pasta: '/usr/bin/passt' })],
  ])('is as in the snapshot %s', async (name, yaml, host = USER_HOST) => {
    const lines = differences(checked(FILE, USER_HOST), checked(yaml, host));
    await expect(lines).toMatchFileSnapshot(snapshot(`user-${name}`));
  });
});
