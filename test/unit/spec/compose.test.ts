/** Keys of the Compose specification: taken where boxctl has the same thing, and otherwise told what to write instead. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMPOSE_KEYS, COMPOSE_NAMES } from '../../../src/generated/compose-names.ts';
import { keysNotHere, whyNotHere } from '../../../src/spec/compose/elsewhere.ts';
import { load, problemsOf, problemText } from '../../support/spec.ts';

const IMAGE = 'image: {host_tools: [sh]}\n';
const of = (text: string, env: Readonly<Record<string, string>> = {}) => load(`${IMAGE}${text}\n`, { env }).spec;
const problems = (text: string, env: Readonly<Record<string, string>> = {}) =>
  problemsOf(`${IMAGE}${text}\n`, { env }).map(problemText);

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly 'x-compose'?: string | true;
}
const SCHEMA = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../specs/container.schema.json'), 'utf8'),
) as Node;
const OWN = new Set(
  Object.entries(SCHEMA.properties ?? {})
    .filter(([, node]) => node['x-compose'] === undefined)
    .map(([key]) => key),
);

/** All keys of a service, and of the file around it, in the Compose specification. */
const SERVICE_KEYS =
  'annotations attach build blkio_config cpu_count cpu_percent cpu_shares cpu_period cpu_quota cpu_rt_runtime cpu_rt_period cpus cpuset cap_add cap_drop cgroup cgroup_parent command configs container_name credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname driver_opts entrypoint env_file environment expose extends external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation labels label_file links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles provider pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes volumes_from working_dir';
const FILE_KEYS = 'version name include services volumes networks secrets configs models';

describe('each key of Compose', () => {
  it.each([...new Set(`${SERVICE_KEYS} ${FILE_KEYS}`.split(' '))])(
    '%s is either taken or in the table of keys that are not there',
    (key) => {
      const known = OWN.has(key) || COMPOSE_KEYS.includes(key);
      expect(known ? 'taken' : whyNotHere(key)).toBeDefined();
    },
  );

  it('that the schema has is not in the table of keys that are not there (src/spec/compose/elsewhere.ts)', () => {
    const here = (path: string): boolean => {
      let node: Node | undefined = SCHEMA;
      for (const part of path.split('.')) node = part === '*' ? node?.items : node?.properties?.[part];
      return node !== undefined;
    };
    const stays = new Set(['deploy', 'services']);
    expect(keysNotHere().filter((key) => here(key) && !stays.has(key))).toEqual([]);
  });

  it('that is not taken is one problem, at its place', () => {
    for (const key of keysNotHere().filter((one) => !one.includes('.') && one !== 'services')) {
      const [first, ...more] = problems(`${key}: [a]`);
      expect(first).toMatch(new RegExp(`^2:1\\+${key.length} E_SPEC_UNSUPPORTED: \`${key}\` is not supported = `, 'u'));
      expect(more).toEqual([]);
    }
  });
});

const nest = (path: string, value: string): string =>
  path
    .split('.')
    .toReversed()
    .reduce((inner, key) => `{${key}: ${inner}}`, value)
    .slice(1, -1);

/** A value of each that means the same by both names. */
const VALUES: Readonly<Record<string, string>> = {
  name: 'web',
  'limits.memory': '64MiB',
  'limits.memory_low': '32MiB',
  'limits.pids': '"64"',
  'limits.cpus': '"0.5"',
  'limits.cpu_shares': '512',
  'limits.cpuset': '"0-1"',
  'limits.blkio_config': '{weight: 300}',
};
const SAME = COMPOSE_NAMES.flatMap(([from, to]) => {
  const value = to.startsWith('namespaces.') ? 'host' : VALUES[to];
  return value === undefined || from === 'cpu_quota' ? [] : [[from, to, value] as const];
});

describe('a key of Compose that boxctl has by another name', () => {
  it.each(SAME)('%s is the same as %s', (from, to, value) => {
    expect(of(nest(from, value))).toEqual(of(nest(to, value)));
  });

  it.each(SAME)('%s takes a variable', (from, _to, value) => {
    if (value.startsWith('{')) return;
    expect(of(nest(from, '"${V}"'), { V: value.replaceAll('"', '') })).toEqual(of(nest(from, value)));
  });

  it.each(SAME)('%s beside another value of %s is one error at its place', (from, to, value) => {
    const other = value === 'host' ? 'private' : value.startsWith('{') ? '{weight: 200}' : '"7"';
    const [first, ...more] = problems(`${nest(to, value)}\n${nest(from, other)}`);
    expect(first).toMatch(/^3:\d+\+\d+ E_SPEC_CONFLICT: `[\w.]+` says something else than `[\w.]+` of line 2, /u);
    expect(more).toEqual([]);
  });

  it('may stand beside the other name where both have the same value', () => {
    const text = 'mem_limit: 64m\ndeploy: {resources: {limits: {memory: 64m}}}';
    expect(of(text).limits).toEqual(of('limits: {memory: 64m}').limits);
    const other = 'mem_limit: 1g\ncpus: 2.0\ndeploy: {resources: {limits: {memory: 1024M, cpus: "2"}}}';
    expect(of(other).limits).toEqual(of('limits: {memory: 1g, cpus: 2}').limits);
    expect(problems('cpus: 0.5\ndeploy: {resources: {limits: {cpus: 0.25}}}')).toHaveLength(1);
  });

  it('keeps its line and column under boxctl’s name', () => {
    const { where } = load(
      `${IMAGE}pids_limit: 64\nlimits: {memory: 1g}\ndeploy: {resources: {limits: {cpus: "1"}}}\n`,
    );
    expect(where('limits.pids')).toMatchObject({ line: 2, column: 13 });
    expect(where('limits.cpus')).toMatchObject({ line: 4, column: 37 });
  });

  it('has its Compose name in messages', () => {
    expect(problems('pids_limit: -5')).toEqual(['2:13+2 E_SPEC_RANGE: `pids_limit` must be at least 1; found -5']);
    expect(problems('blkio_config: {weight: 5}')).toEqual([
      '2:24+1 E_SPEC_RANGE: `blkio_config.weight` must be at least 10; found 5',
    ]);
  });
});

describe('values of Compose that boxctl writes in another way', () => {
  it.each([
    ['mem_limit: 64m\nmemswap_limit: 96m', 'limits: {memory: 64m, swap: 32m}'],
    ['mem_limit: 64m\nmemswap_limit: 64m', 'limits: {memory: 64m, swap: 0}'],
    ['limits: {memory: 64m}\nmemswap_limit: 96m', 'limits: {memory: 64m, swap: 32m}'],
    ['mem_limit: 64m\nmemswap_limit: -1', 'limits: {memory: 64m}'],
    ['mem_limit: 0\nmem_reservation: 0\nmemswap_limit: 0\npids_limit: -1\ncpus: 0\ncpu_shares: 0', ''],
    ['cpus: "0.0"', ''],
    ['pids_limit: 0\ncpu_quota: -1', ''],
    ['cpu_quota: 50000', 'limits: {cpus: 0.5}'],
    ['cpu_quota: 25000\ncpu_period: 50000', 'limits: {cpus: 0.5}'],
    ['cpu_quota: "25000"\ncpu_period: 50ms', 'limits: {cpus: 0.5}'],
    ['network_mode: none\nipc: shareable\ncgroup: private', ''],
    ['security_opt: [no-new-privileges, label=disable]', 'no_new_privileges: true'],
    ['security_opt: ["no-new-privileges:false"]', 'no_new_privileges: false'],
    [
      'security_opt: [no-new-privileges=false, "seccomp:unconfined", apparmor=mine]',
      'no_new_privileges: false\nseccomp: unconfined\napparmor: mine',
    ],
    ['security_opt: [seccomp=builtin]', 'seccomp: default'],
    ['restart: no\nscale: 1\nisolation: default\noom_kill_disable: false\npull_policy: never\nattach: true', ''],
    ['deploy: {mode: replicated, replicas: 1, restart_policy: {condition: none}}', ''],
    ['tty: "true"\ninit: "false"\noom_score_adj: "5"', 'tty: true\ninit: false\noom_score_adj: 5'],
    ['ulimits: {nofile: "10", core: {soft: "1", hard: "2"}}', 'ulimits: {nofile: 10, core: {soft: 1, hard: 2}}'],
  ])('%j means the same as %j', (compose, own) => expect(of(compose)).toEqual(of(own)));

  it('systempaths=unconfined removes every masked and every read-only path', () => {
    const { maskedPaths, readonlyPaths } = of('security_opt: ["systempaths=unconfined"]');
    expect(maskedPaths.remove.map(({ path }) => path)).toEqual(['/proc', '/sys']);
    expect(readonlyPaths.remove.map(({ path }) => path)).toEqual(['/proc']);
  });

  it.each([
    [
      'network_mode: "service:db"',
      '2:15+12 E_SPEC_VALUE: `network_mode` must be none, bridge, host, container:NAME or an absolute path; found "service:db" = a file has no other services: `container:db` names',
    ],
    ['pid: service:db', '2:6+10 E_SPEC_VALUE: `pid` must be private or host; found "service:db" = '],
    ['userns_mode: keep-id', 'found "keep-id" = write `keep_id: true`'],
    ['ipc: [host]', '2:1+3 E_SPEC_VALUE: `ipc` must be a single value; found a list'],
    [
      'namespaces: [mount]\npid: host',
      '3:1+3 E_SPEC_CONFLICT: `pid` and a list of `namespaces` both say which are private',
    ],
    ['mem_limit: 2g\nmemswap_limit: 1g', '3:16+2 E_SPEC_VALUE: `memswap_limit` must be at least as much as the memory'],
    ['memswap_limit: 1g', '2:16+2 E_SPEC_CONFLICT: `memswap_limit` needs `limits.memory` beside it'],
    ['cpu_period: 5', '2:1+10 E_SPEC_CONFLICT: `cpu_period` says nothing without `cpu_quota`'],
    ['cpu_quota: 5\ncpu_period: x', '2:12+1 E_SPEC_VALUE: `cpu_quota` must be a number of microseconds'],
    ['cpus: 1\ncpu_quota: 5', '3:1+9 E_SPEC_CONFLICT: `cpu_quota` says something else than `cpus` of line 2'],
    [
      'security_opt: [label=type:x]',
      '2:16+12 E_SPEC_UNSUPPORTED: `security_opt.0` is no option that boxctl has: "label=type:x"',
    ],
    ['security_opt: seccomp=x', '2:15+9 E_SPEC_TYPE: `security_opt` must be a list'],
    [
      'security_opt: [no-new-privileges]\nno_new_privileges: false',
      'E_SPEC_CONFLICT: `security_opt.0` says something else than `no_new_privileges` of line 3',
    ],
    [
      'deploy: {replicas: 2}',
      '2:10+8 E_SPEC_UNSUPPORTED: `deploy.replicas` is not supported = one file is one container',
    ],
    [
      'deploy: {resources: {limits: {devices: 3}}}',
      '2:31+7 E_SPEC_UNSUPPORTED: `deploy.resources.limits.devices` is not supported',
    ],
    [
      'volumes: {cache: {}}',
      '2:1+7 E_SPEC_TYPE: `volumes` must be a list; found a map = a volume needs no declaration',
    ],
    ['volumes: [{type: npipe, source: a, target: /a}]', 'found the text "npipe" = Windows alone has it'],
    ['platform: windows/amd64', '2:11+13 E_SPEC_PLATFORM: the platform "windows/amd64" is not Linux'],
    ['platform: linux/a b', '"linux/a b" is not a platform = OS/ARCHITECTURE[/VARIANT]: linux/amd64'],
    ['pull_policy: build', '2:14+5 E_SPEC_VALUE: "build" is no policy for pulling = boxctl builds no images'],
    ['pull_policy: every_', '"every_" is no policy for pulling = write missing, always, never, daily, weekly'],
    ['pull_policy: every_5x', '"every_5x" is no policy for pulling'],
    ['pull_policy: always', '2:14+6 E_SPEC_CONFLICT: `pull_policy` is about an image of a registry, and there is none'],
    ['mem_limt: 4', 'there is no key `mem_limt` = did you mean `mem_limit`?'],
  ])('%j is one problem that contains %j', (text, expected) => {
    const [first, ...more] = problems(text);
    expect(first).toContain(expected);
    expect(more).toEqual([]);
  });

  it('a variable whose value is refused is quoted by its name', () => {
    const [first] = problems('network_mode: "${SECRET}"', { SECRET: 'hunter2' });
    expect(first).toContain('found "${SECRET}"');
    expect(first).not.toContain('hunter2');
  });
});

describe('keys and words that ask for nothing', () => {
  it.each([
    'label_file: "${UNSET}"',
    'label_file: ./labels',
    'expose: [3306, "8080-8090"]',
    'deploy: {labels: {a: b}}',
    'restart: "no"',
    'build: {}\ndeploy: {}\ndevelop: {}\nlogging: {}',
    'extra_hosts:\ndns:\nhealthcheck:',
    ...keysNotHere()
      .filter((key) => !key.includes('.') && key !== 'services')
      .map((key) => `${key}: []`),
  ])('%j changes nothing', (text) => expect(of(text)).toEqual(of('')));

  it.each(['cached', 'delegated', 'consistent', 'z', 'Z', 'rw,z', 'cached,Z'])(
    '`%s` as the mode of a volume changes nothing',
    (word) => {
      expect(of(`volumes: ['./:/a:${word}', 'b:/b:${word}']`)).toEqual(of("volumes: ['./:/a', 'b:/b']"));
    },
  );

  it('change nothing in the long form of a volume', () => {
    const plain = 'type: bind, source: ., target: /a';
    const all = `${plain}, consistency: cached, bind: {selinux: z, propagation: rprivate}`;
    expect(of(`volumes: [{${all}}]`)).toEqual(of(`volumes: [{${plain}}]`));
    expect(of(`volumes: [{${plain}, bind: {selinux: Z}}]`)).toEqual(of(`volumes: [{${plain}}]`));
    const volume = 'type: volume, source: c, target: /a';
    expect(of(`volumes: [{${volume}, volume: {labels: {a: b}}}]`)).toEqual(of(`volumes: [{${volume}}]`));
  });

  it('change nothing beside the one service of a Compose file', () => {
    const file = (more: string) => load(`services: {web: {${IMAGE.trim()}}}\n${more}`).spec;
    expect(file('networks: {}\nsecrets:\nconfigs: {}\nvolumes:\n')).toEqual(file(''));
  });
});

describe('a whole Compose file', () => {
  it('with one service is that container, and each value keeps its line', () => {
    const text =
      'version: "3"\nservices:\n  web:\n    image: {host_tools: [sh]}\n    mem_limit: 64m\n    volumes: ["data:/data"]\nvolumes: {data: {driver: local}, more: }\nx-a: 1\n';
    const document = load(text);
    expect(document.spec).toEqual(load(`${IMAGE}name: web\nmem_limit: 64m\nvolumes: ["data:/data"]\n`).spec);
    expect(document.where('limits.memory')).toMatchObject({ line: 5, column: 16 });
    expect(document.where('volumes.0')).toMatchObject({ line: 6 });
  });

  it.each([
    ['services: {web: {image: {host_tools: [sh]}}}', 'web'],
    ['name: app\nservices: {web: {image: {host_tools: [sh]}}}', 'app'],
    ['name: app\nservices: {web: {container_name: own, image: {host_tools: [sh]}}}', 'own'],
  ])('%j gives the container the name %j', (text, name) => expect(load(`${text}\n`).spec.name).toBe(name));

  it.each([
    [
      'services:\n  a:\n    image: x\n  b:\n    image: y\n',
      '4:3+1 E_SPEC_UNSUPPORTED: one file is one container, and this one has 2 services: `a`, `b` = make a file for each; what belongs in it: `a` line 3, `b` line 5',
    ],
    ['services: {}\n', '1:1+8 E_SPEC_UNSUPPORTED: `services` has no service'],
    ['services: [a]\n', '1:1+8 E_SPEC_UNSUPPORTED: `services` must be a map of one service'],
    ['services: {a: b}\n', '1:12+1 E_SPEC_UNSUPPORTED: `services.a` must be a map'],
    [
      `services: {a: {${IMAGE.trim()}}}\nnetworks: [b]\n`,
      '2:1+8 E_SPEC_TYPE: `networks` beside `services` must be a map of networks',
    ],
    [
      `services: {a: {${IMAGE.trim()}, networks: [back, frnt]}}\nnetworks: {back: , front: }\n`,
      '1:60+4 E_SPEC_VALUE: the network `frnt` is not declared = did you mean `front`?',
    ],
    [
      `services: {a: {${IMAGE.trim()}, networks: [back]}}\nnetworks: {back: {aliases: [x]}}\n`,
      '2:19+7 E_SPEC_UNSUPPORTED: `aliases` is the service',
    ],
    [
      `services: {a: {${IMAGE.trim()}, networks: [back]}}\nnetworks: {back: {driver: overlay}}\n`,
      '2:19+6 E_SPEC_UNSUPPORTED: `driver` in `networks.back` is not supported = a network is of one kind here',
    ],
    [
      `services: {a: {${IMAGE.trim()}}}\nlimits: {pids: 1}\n`,
      '2:1+6 E_SPEC_UNSUPPORTED: `limits` beside `services` is not supported = what belongs to the container stands below its service',
    ],
    [
      `services: {a: {${IMAGE.trim()}}}\nvolumes: {b: {external: true}}\n`,
      '2:11+1 E_SPEC_UNSUPPORTED: `volumes.b` beside `services` is not supported',
    ],
  ])('%j is one problem that contains %j', (text, expected) => {
    const [first, ...more] = problemsOf(text).map(problemText);
    expect(first).toContain(expected);
    expect(more).toEqual([]);
  });
});
