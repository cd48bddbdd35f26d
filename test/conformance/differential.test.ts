/**
 * The same container under boxctl and, as the bundle that boxctl writes, under runc and crun: whatever a process can see
 * is the same, or the difference is listed here with its reason.
 */
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { boxctl, PROJECT, run, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

type Runtime = 'runc' | 'crun';

interface Difference {
  readonly section: string;
  /** Lines of either side; not narrower than what the reason explains, and not wider. */
  readonly lines: RegExp;
  readonly with: readonly Runtime[];
  readonly reason: string;
}

const BOTH: readonly Runtime[] = ['runc', 'crun'];
const NODES = 'null|zero|full|random|urandom|tty';

const EXPLAINED: readonly Difference[] = [
  {
    section: 'mounts',
    lines: /^\/etc\/(?:hosts|hostname|resolv\.conf) \w+ nodev,nosuid,relatime,rw$/u,
    with: BOTH,
    reason: 'boxctl’s are in memory; those of a bundle are files in it',
  },
  {
    section: 'mounts',
    lines: /^\/ (?:overlay nodev,relatime|\w+ relatime),r[ow]$/u,
    with: BOTH,
    reason: 'they write into the copy of the image; boxctl has a layer over it, on which no device works',
  },
  {
    section: 'mounts',
    lines: /^\/w \w+ (?:idmapped,)?nodev,nosuid,relatime,ro$/u,
    with: BOTH,
    reason: 'boxctl shows a bind of root’s with owners that the container has names for',
  },
  {
    section: 'mounts',
    lines: new RegExp(`^/dev/(?:${NODES}) devtmpfs (?:noexec,nosuid,)?relatime,rw$`, 'u'),
    with: BOTH,
    reason:
      'they bind the host’s nodes where a user namespace forbids to make some; boxctl makes its own before it is in there',
  },
  {
    section: 'mounts',
    lines: new RegExp(`^/dev(?:/(?:${NODES}))? tmpfs (?:nodev,)?nosuid,rw$`, 'u'),
    with: BOTH,
    reason: 'with boxctl no node works but those that it made, each by a bind, in the host’s user namespace too',
  },
  {
    section: 'mounts',
    lines:
      /^\/proc\/(?:interrupts|keys|timer_list|latency_stats|sched_debug|version) (?:tmpfs nosuid,rw|devtmpfs relatime,r[ow])$/u,
    with: BOTH,
    reason: 'what hides a file is a bind of /dev/null: the container’s own, or the host’s',
  },
  {
    section: 'mounts',
    lines:
      /^\/(?:proc\/(?:acpi|scsi|asound)|sys\/(?:firmware|dev\/block|devices\/virtual\/powercap|fs\/selinux)) tmpfs (?:nodev,noexec,nosuid,)?relatime,ro$/u,
    with: BOTH,
    reason: 'what hides a folder is empty and read-only; boxctl’s allows nothing else either',
  },
  {
    section: 'mounts',
    lines: /^\/proc\/(?:bus|fs|irq|sys|tty) proc (?:nodev,noexec,nosuid,)?relatime,ro$/u,
    with: ['crun'],
    reason: 'crun remounts read-only without the flags of /proc',
  },
  {
    section: 'dev',
    lines: new RegExp(`^/dev/(?:${NODES}) character special file 666 (?:0:0|65534:65534) `, 'u'),
    with: BOTH,
    reason: 'the host’s nodes belong to the host’s root, whom the container has no name for',
  },
  {
    section: 'dev',
    lines: /^\/dev\/mqueue directory 1777 (?:65534:65534|0:65534|0:0) 0:0$/u,
    with: BOTH,
    reason:
      'the kernel gives it to whoever made the namespace; boxctl makes all with one call, before there are ids inside',
  },
  {
    section: 'dev',
    lines: /^\/dev\/core (?:symbolic link 777 0:0 0:0|-> \/proc\/kcore)$/u,
    with: ['crun'],
    reason: 'crun makes a link to what is hidden',
  },
  {
    section: 'domain',
    lines: /^(?:example\.internal|\(none\))$/u,
    with: ['runc'],
    reason: 'Debian’s runc does not know domainname yet (specification 1.1)',
  },
  {
    section: 'calls',
    lines: /^(?:fifo|mknod: \/tmp\/[mp]: (?:Permission denied|Operation not permitted))$/u,
    with: ['runc'],
    reason: 'runc gives a tmpfs the mode of the folder beneath, so that another user may not write to it',
  },
  {
    section: 'calls',
    lines: /^mknod: \/tmp\/m: Operation not permitted$/u,
    with: BOTH,
    reason: 'they let nodes of any device be made; with boxctl none can be left in a folder of the host',
  },
];

/** What is another each time, and says nothing of what the container may do. */
const VARYING =
  /^(?:Vm\w+|Rss\w+|HugetlbPages|(?:non)?voluntary_ctxt_switches|FDSize|State|SigQ|Cpus_allowed\w*|Mems_allowed\w*):/u;

/** A mount without its numbers: where, of what kind, and with which attributes. */
function mount(line: string): string {
  const [own = '', kind = ''] = line.split(' - ');
  const [, , , , point = '', options = ''] = own.split(' ');
  return `${point} ${kind.split(' ')[0]} ${options.split(',').toSorted().join(',')}`;
}

/** A namespace is the host's, or it is not. */
function namespace(line: string): string {
  const [kind = '', link = ''] = line.split(' ');
  return `${kind} ${readHost(kind) === link ? 'host' : 'private'}`;
}

const readHost = (kind: string): string => {
  const { ino } = statSync(`/proc/self/ns/${kind}`);
  return `${kind}:[${ino}]`;
};

function sections({ stdout, stderr }: Ended): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const part of stdout.split(/^## /mu).slice(1)) {
    const [name = '', ...rest] = part.trimEnd().split('\n');
    const lines = rest.filter((line) => !VARYING.test(line));
    if (name === 'mounts') found.set(name, lines.map(mount));
    else if (name === 'namespaces') found.set(name, lines.map(namespace));
    else found.set(name, lines);
  }
  if (found.size < 14) throw new Error(`${stdout}\n${stderr}`);
  return found;
}

const minus = (a: readonly string[], b: readonly string[]): readonly string[] => a.filter((line) => !b.includes(line));

/** Streams are pipes: crun gives the container's root whatever it has as streams, the host's /dev/null too. */
async function other(runtime: Runtime, bundle: string): Promise<Ended> {
  const root = tempFolder();
  const id = `boxctl-test-${process.pid}-${runtime}`;
  if (runtime === 'runc') return run(['runc', '--root', root, 'run', '--bundle', bundle, id]);
  // Debian's crun wants version 2 of cgroups alone: it gets to see that, in a mount namespace of its own.
  const path = join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as { linux: object; process: object };
  const linux = { ...config.linux, resources: undefined };
  writeFileSync(path, JSON.stringify({ ...config, linux, process: { ...config.process, rlimits: undefined } }));
  const script = 'mount -t cgroup2 none /sys/fs/cgroup && exec crun --root "$1" run --bundle "$2" "$3"';
  return run(['unshare', '-m', 'sh', '-c', script, 'sh', root, bundle, id]);
}

/** Debian 12's runc does not know the time namespace yet. */
const COMMON = {
  namespaces: { time: 'host' },
  hostname: 'inside',
  domainname: 'example.internal',
  volumes: ['./:/w:ro'],
  tmpfs: ['/tmp'],
  environment: { CI: '1' },
  command: ['sh', '-c', '. /w/differential.sh 2>&1'],
};

const SPECS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'as it comes': {},
  'with another user, a folder and groups': { user: '1000:1000', group_add: ['7', '9'], working_dir: '/home/app' },
  'read-only, with capabilities added and dropped': {
    read_only: true,
    cap_add: ['NET_ADMIN'],
    cap_drop: ['CHOWN', 'MKNOD'],
    no_new_privileges: false,
  },
  'with parameters, masks and a score': {
    sysctls: { 'net.ipv4.ip_unprivileged_port_start': '80' },
    masked_paths: ['/proc/version'],
    readonly_paths: ['/proc/tty'],
    oom_score_adj: 500,
  },
  'with the host’s user namespace': { namespaces: { time: 'host', user: 'host' } },
};

test
  .skipIf(!isRoot || !hasBusybox || !existsSync('/usr/sbin/runc') || !existsSync('/usr/bin/crun'))
  .each(Object.keys(SPECS))(
  '%s a container is the same under boxctl, runc and crun (needs root, busybox-static, runc and crun)',
  async (name) => {
    const folder = specFolder({ ...COMMON, ...SPECS[name] });
    copyFileSync(join(PROJECT, 'test/conformance/differential.sh'), join(folder, 'differential.sh'));
    const options = callerOptions(self, folder);
    const bundle = join(tempFolder({ open: true }), 'bundle');
    const own = sections(await boxctl(['up', '--allow', 'all'], options));
    const written = await boxctl(['bundle', '--allow', 'all', 'container.yaml', bundle], options);
    expect(written.status).toBe(0);
    const device = statSync('/dev/null');
    const unexplained: string[] = [];
    for (const runtime of BOTH) {
      const theirs = sections(await other(runtime, bundle));
      expect([...theirs.keys()]).toEqual([...own.keys()]);
      for (const [section, lines] of own) {
        const known = EXPLAINED.filter((entry) => entry.section === section && entry.with.includes(runtime));
        const explained = (line: string): boolean => known.some((entry) => entry.lines.test(line));
        const its = theirs.get(section) ?? [];
        for (const line of minus(lines, its)) if (!explained(line)) unexplained.push(`boxctl ${section}: ${line}`);
        for (const line of minus(its, lines)) if (!explained(line)) unexplained.push(`${runtime} ${section}: ${line}`);
      }
    }
    expect(unexplained).toEqual([]);
    expect(statSync('/dev/null')).toMatchObject({ uid: device.uid, gid: device.gid, mode: device.mode });
  },
);
