import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile } from '../../../src/model/compile.ts';
import type { ConfigPath } from '../../../src/oci/config-path.ts';
import type { OciBase } from '../../../src/oci/config.ts';
import { demandsOf } from '../../../src/model/demands.ts';
import type { Demand, DemandKind } from '../../../src/model/demand.ts';
import { audit, reaches, type Finding } from '../../../src/review/audit.ts';
import { demandFindings } from '../../../src/review/demand-rules.ts';
import { reviewHost } from '../../../src/review/host.ts';
import { parseLock } from '../../../src/lock/parse.ts';
import { loadSpecText } from '../../../src/spec/load.ts';
import { PROJECT } from '../../support/boxctl.ts';
import { testDocument } from '../../support/document.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { image } from '../model/fixtures.ts';

const FOLDER = '/project';
const GOOD = `
image: {tar: ./x.tar, sha256: "${'a'.repeat(64)}"}
user: "1000:1000"
read_only: true
limits: {memory: 64MiB, pids: 16, cpus: 1}
`;

const documentOf = (text: string, env: Readonly<Record<string, string>> = {}) =>
  loadSpecText(text, 'container.yaml', { env, home: '/home/me', folder: FOLDER, review: true });
const findings = (text: string, env: Readonly<Record<string, string>> = {}): readonly Finding[] =>
  audit(documentOf(text, env), USER_HOST);
const rated = (list: readonly Finding[]): readonly string[] => list.map(({ rule, severity }) => `${rule} ${severity}`);

/** What is found beyond a good file. */
const added = (text: string, env: Readonly<Record<string, string>> = {}) => rated(findings(`${GOOD}${text}\n`, env));
/** And with a key of the good file in other words. */
const instead = (key: string, text: string) => {
  const kept = GOOD.split('\n').filter((line) => !line.startsWith(`${key}:`));
  return rated(findings(`${kept.join('\n')}\n${text}\n`));
};

it('a good file leaves nothing open', () => {
  expect(added('')).toEqual([]);
});

const KEY = 'ghp_abcdefghijklmnopqrstuvwxyz0123456789';

const CASES: readonly (readonly [text: string, found: readonly string[], instead?: string])[] = [
  ['volumes: ["/:/host:ro"]', ['bind-root critical']],
  ['volumes: ["/var/lib/x/docker.sock:/d.sock"]', ['bind-engine critical']],
  ['volumes: ["/run/podman/podman.sock:/d.sock:ro"]', ['bind-engine critical']],
  ['volumes: ["~/.ssh:/ssh:ro"]', ['bind-secrets critical']],
  ['volumes: ["~:/home:ro"]', ['bind-secrets critical']],
  ['volumes: ["/etc/shadow:/s:ro"]', ['bind-secrets critical']],
  ['volumes: ["/etc:/host"]', ['bind-system critical']],
  ['volumes: ["/etc:/host:ro"]', ['bind-system high']],
  ['volumes: ["/srv/data:/data"]', ['bind-outside high']],
  ['volumes: ["/srv/data:/data:ro"]', ['bind-outside medium']],
  ['volumes: ["/dev/kvm:/dev/kvm"]', ['device high']],
  ['volumes: ["/dev/fuse:/dev/fuse"]', ['device medium']],
  ['volumes: ["./:/src"]', ['bind-own-file medium']],
  ['volumes: ["./out:/out"]', ['bind-writable low']],
  ['volumes: ["./src:/src:ro"]', []],
  ['namespaces: {pid: host}', ['host-pid high']],
  ['namespaces: {net: host}', ['host-net high']],
  ['namespaces: {ipc: host}', ['host-ipc medium']],
  ['namespaces: {uts: host}', ['host-uts low']],
  ['namespaces: [user, mount, pid, net, ipc, uts]', ['host-cgroup low', 'host-time low']],
  ['namespaces: {net: /proc/1/ns/net}', ['joined-namespace high']],
  ['network_mode: "container:db"', ['joined-namespace medium']],
  ['network_mode: bridge', ['network-wide medium']],
  ['network_mode: bridge\negress: ["*:443"]', ['network-wide medium']],
  ['network_mode: bridge\negress: ["0.0.0.0/1", "128.0.0.0/1"]', ['network-wide medium', 'network-wide medium']],
  ['network_mode: bridge\negress: ["10.0.0.0/8", "example.com:443"]', ['network-egress low', 'network-egress low']],
  ['network_mode: bridge\negress: none', []],
  ['network_mode: bridge\negress: ["host-gateway:5432"]', ['host-services high']],
  ['network_mode: bridge\negress: ["169.254.169.254:80"]', ['link-local high']],
  ['networks: {a: {internal: true, name: lab}}', ['shared-network medium']],
  ['networks: {a: {internal: true, ipam: {config: [{subnet: 198.51.100.0/24}]}}}', ['public-subnet high']],
  ['network_mode: bridge\negress: none\nports: ["8080:80"]', ['port-open medium']],
  ['network_mode: bridge\negress: none\nports: ["0.0.0.0:8080:80/udp"]', ['port-open medium']],
  ['network_mode: bridge\negress: none\nports: ["192.0.2.2:8080:80"]', ['port-open medium']],
  ['network_mode: bridge\negress: none\nports: ["127.0.0.1:8080:80"]', ['port-local low']],
  ['network_mode: bridge\negress: none\nports: ["[::1]:8080-8081:80-81"]', ['port-local low']],
  ['namespaces: {user: host}', ['host-user critical']],
  ['namespaces: {user: host}\nuser: root', ['host-user critical', 'root-of-host critical'], 'user'],
  ['uid_map: ["0:0:65536"]', ['host-ids critical']],
  ['uid_map: ["0:1000:1001"]\ngid_map: ["0:100000:65536"]', ['host-ids high']],
  ['privileged: this container may harm the host', ['privileged high']],
  [
    'privileged: this container may harm the host\nnamespaces: {user: host}',
    ['privileged critical', 'host-user critical'],
  ],
  ['cap_add: [SYS_ADMIN, SYS_NICE]', ['capability high', 'capability medium']],
  ['keep_groups: true', ['kept-groups medium']],
  ['socket_activation: true', ['sockets low']],
  [
    'volumes: [{type: bind, source: ./src, target: /src, bind: {protect: false}}]',
    ['bind-unprotected high', 'bind-writable low'],
  ],
  ['no_new_privileges: false', ['new-privileges high']],
  ['oom_score_adj: -1', ['oom-score medium']],
  ['ulimits: {rtprio: 1}', ['priority medium']],
  ['ulimits: {nofile: 100, nice: 20}', []],
  ['masked_paths: ["!/proc/kcore"]', ['unmasked high']],
  ['apparmor: unconfined', ['no-apparmor high']],
  ['selinux: "a:b:spc_t:s0"', ['foreign-label high']],
  ['env_file: /etc/environment', ['env-file high']],
  ['secrets: {a: {file: /etc/hostname}}', ['given-file high']],
  ['configs: {a: {file: /etc/hostname}}', ['given-file high']],
  ['environment: [NPM_TOKEN]', ['secret-taken high']],
  ['environment: {A: "${NPM_TOKEN}"}', ['secret-taken high']],
  [`environment: {A: ${KEY}}`, ['secret-value critical']],
  [`environment: ["A=${KEY}"]`, ['secret-value critical']],
  ['environment: {DATABASE: "postgres://me:secret@db/x"}', ['secret-value critical']],
  ['environment: {DATABASE: "Server=x;Password=secret;User=q"}', ['secret-value critical']],
  ['environment: {PROXY: "http://me:secret@proxy:3128"}', ['secret-value critical']],
  ['environment: {DB_PASSWORD_FILE: /run/secrets/db}', []],
  ['environment: {DB_PASSWORD: hunter2}', ['secret-name high']],
  ['environment: [DB_PASSWORD=hunter2]', ['secret-name high']],
  ['environment: {DB_PASSWORD: ""}', []],
  ['environment: {CI: "1", PATTERN: x}', []],
  ['', ['no-memory-limit medium', 'no-pids-limit medium', 'no-cpu-limit low'], 'limits'],
  ['limits: {memory: 1g, pids: 9, cpus: 1, optional: true}', ['optional-limits low'], 'limits'],
  ['image: ./x.tar', ['unpinned-image medium'], 'image'],
  ['image: {folder: /}', ['bind-root critical', 'unpinned-image medium'], 'image'],
  ['image: {folder: /etc}', ['bind-system high', 'unpinned-image medium'], 'image'],
  ['image: debian:12', ['floating-tag medium'], 'image'],
  ['image: {ref: "debian:12@sha256:' + 'a'.repeat(64) + '"}', [], 'image'],
  ['image: localhost:5000/x', ['floating-tag medium', 'plain-registry medium'], 'image'],
  ['image: {ref: "sha256:0123456789ab"}', [], 'image'],
  ['image: {host_tools: [sh]}', ['host-tools-image low'], 'image'],
  ['image: {host_tools: [/srv/tool]}', ['foreign-tool high', 'host-tools-image low'], 'image'],
  ['', ['root-user low'], 'user'],
  ['user: root', ['root-user low'], 'user'],
  ['', ['writable-root low'], 'read_only'],
];

describe('it finds', () => {
  it.each(CASES.map(([text, found, key]) => ({ text, found, key })))('$text: $found', ({ text, found, key }) => {
    const env = { NPM_TOKEN: 'x' };
    expect(key === undefined ? added(text, env) : instead(key, text)).toEqual(found);
  });
});

/** What the file cannot say yet, or only on some hosts: by the configuration. */
const verdict = (change: (config: OciBase) => void, spec?: string): readonly string[] => {
  const document = testDocument({ command: ['true'] });
  const compiled = compile(document, image, ROOT_HOST);
  const config = structuredClone(compiled.config);
  change(config);
  const because = (path: ConfigPath) =>
    path === spec ? ({ kind: 'spec', path: 'key', at: undefined } as const) : compiled.because(path);
  const demands = demandsOf(document, { ...compiled, config, because }, ROOT_HOST);
  return rated(demandFindings({ document, host: ROOT_HOST, model: { ...compiled, config, because, demands } }));
};
const noUsers = ({ linux }: OciBase): void =>
  void (linux.namespaces = linux.namespaces.filter(({ type }) => type !== 'user'));
const adds =
  (name: string) =>
  ({ process }: OciBase): void =>
    void process.capabilities.bounding.push(name);
const noFilter = ({ linux }: OciBase): void => void delete linux.seccomp;

const CONFIGS: readonly (readonly [title: string, found: readonly string[], () => readonly string[]])[] = [
  ['a grave capability', ['capability high'], () => verdict(adds('CAP_SYS_ADMIN'))],
  ['a capability', ['capability medium'], () => verdict(adds('CAP_SYS_NICE'))],
  [
    'a grave capability of the host',
    ['capability critical'],
    () =>
      verdict((config) => {
        noUsers(config);
        adds('CAP_SYS_ADMIN')(config);
      }),
  ],
  ['no filter', ['no-seccomp high'], () => verdict(noFilter)],
  [
    'no filter, on the host',
    ['no-seccomp critical'],
    () =>
      verdict((config) => {
        noUsers(config);
        noFilter(config);
      }),
  ],
  ['a filter of its own', ['own-seccomp medium'], () => verdict(() => undefined, 'linux.seccomp')],
  ['new privileges', ['new-privileges high'], () => verdict(({ process }) => void (process.noNewPrivileges = false))],
  [
    'an open path',
    ['unmasked high'],
    () => verdict(({ linux }) => void (linux.maskedPaths = linux.maskedPaths?.slice(1) ?? [])),
  ],
];
it.each(CONFIGS)('%s is %s', (_title, found, find) => expect(find()).toEqual(found));

const made = (kind: DemandKind): readonly string[] => {
  const document = testDocument({ command: ['true'] });
  const model = compile(document, image, ROOT_HOST);
  const demands: readonly Demand[] = [{ kind, value: 'x', message: '', because: { kind: 'default', name: '' } }];
  return rated(demandFindings({ document, host: ROOT_HOST, model: { ...model, demands } }));
};
const REST = (['image', 'profile', 'key', 'oom_score_adj'] as const).flatMap(made);

/** What is told beside a lock, and of a demand that is made when an image is to be pulled. */
const LOCKED = parseLock(
  `version: 1\nimage:\n  ref: debian:12\n  digest: sha256:${'a'.repeat(64)}\n`,
  'container.lock',
);
const besideLock = (text: string): readonly string[] =>
  rated(audit(documentOf(`${GOOD.replace(/^image:.*$/mu, '')}${text}\n`), USER_HOST, { lock: LOCKED }));

it('beside a lock a tag does not float, and a policy that would ask is told', () => {
  expect(besideLock('image: debian:12')).toEqual([]);
  expect(besideLock('image: debian:12\npull_policy: always')).toEqual(['policy-beside-lock low']);
  expect(besideLock('image: debian:13')).toEqual(['floating-tag medium']);
});

it('the page of the rules has every rule and every severity that is found, and no other', () => {
  const page = readFileSync(join(PROJECT, 'specs/audit.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z-]+)` +\| ([a-z][^|]*) \| [^|]+\|$/gmu)];
  const documented = new Map(rows.map(([, rule = '', text = '']) => [rule, text.trim()] as const));
  const host = rated(findings('namespaces: {mount: host}\ncommand: [x]'));
  const locked = besideLock('image: debian:12\npull_policy: always');
  // Demanded when an image is to be pulled, and so found by no review of a file alone.
  const pulled = ['helper-login high'];
  const found = [...CASES, ...CONFIGS].flatMap(([, each]) => each);
  const all = [...found, ...REST, ...host, ...locked, ...pulled];
  const pairs = all.map((one) => one.split(' '));
  expect([...new Set(pairs.map(([rule]) => rule))].toSorted()).toEqual([...documented.keys()].toSorted());
  for (const [rule = '', severity = ''] of pairs) {
    const text = documented.get(rule) ?? '';
    expect(text === 'critical to medium' || text.includes(severity), `${rule} ${severity}`).toBe(true);
  }
});

it('the worst comes first, each with its line and a change that closes it', () => {
  const found = findings('image: ./x.tar\nvolumes:\n  - /:/host\nnamespaces: {net: host}\n');
  expect(found.map(({ severity }) => severity)).toEqual([
    'critical',
    'high',
    'medium',
    'medium',
    'medium',
    'low',
    'low',
    'low',
  ]);
  expect(found[0]).toMatchObject({ rule: 'bind-root', because: { at: { file: 'container.yaml', line: 3 } } });
  for (const { fix } of found) expect(fix).not.toBe('');
});

it('severities are in order', () => {
  const [finding] = findings('image: {host_tools: [sh]}\nlimits: {memory: 1g, pids: 9, cpus: 1}\nread_only: true\n');
  if (finding === undefined) throw new Error('nothing found');
  expect(reaches({ ...finding, severity: 'medium' }, 'low')).toBe(true);
  expect(reaches({ ...finding, severity: 'medium' }, 'medium')).toBe(true);
  expect(reaches({ ...finding, severity: 'medium' }, 'high')).toBe(false);
});

it('says the same whoever asks on whatever host', () => {
  const text = `${GOOD}namespaces: {net: host}\nuid_map: ["0:1000:2"]\nuser: root\n`.replace('user: "1000:1000"\n', '');
  const strange = {
    ...USER_HOST,
    timeNamespace: false,
    userNamespaces: { usable: false, reason: '', hint: '' } as const,
  };
  expect(audit(documentOf(text), ROOT_HOST)).toEqual(audit(documentOf(text), strange));
  expect(reviewHost(strange, documentOf(text))).toMatchObject({ privileged: true, timeNamespace: true });
});
