/** A container's model made by hand: what the planner and the launcher are tested with, without the stages before them. */
import { DEFAULT_LOGGING } from '../../src/spec/logging.ts';
import type { HostFacts } from '../../src/host/facts.ts';
import type { ImageFacts } from '../../src/model/image.ts';
import type { OciBase, OciNamespace } from '../../src/oci/config.ts';
import type { Mount } from '../../src/model/mount.ts';
import type { Model } from '../../src/model/model.ts';

const CAPABILITIES = ['CAP_CHOWN', 'CAP_KILL', 'CAP_SETGID', 'CAP_SETUID', 'CAP_NET_BIND_SERVICE'];
export const ALL_NAMESPACES: readonly OciNamespace['type'][] = [
  'user',
  'pid',
  'mount',
  'uts',
  'ipc',
  'network',
  'cgroup',
  'time',
];

export interface ModelOptions {
  readonly host: HostFacts;
  readonly args: readonly string[];
  readonly namespaces?: readonly OciNamespace[];
  readonly init?: boolean;
  readonly terminal?: boolean;
  readonly readonly?: boolean;
  readonly memory?: number;
  readonly pids?: number;
  readonly cwd?: string;
  readonly stop?: Partial<Model['stop']>;
  readonly timeLimitMs?: number;
}

function newMount(target: string, type: string, options: readonly string[]): Mount {
  const because = { kind: 'default', name: `mount ${target}` } as const;
  return { kind: 'new', target, type, source: type, options, asked: false, because };
}

export function testModel(options: ModelOptions): Model {
  const { host } = options;
  const namespaces: readonly OciNamespace[] = options.namespaces ?? ALL_NAMESPACES.map((type) => ({ type }));
  const shifted = host.privileged ? { hostID: 524_288, size: 65_536 } : { hostID: host.euid, size: 1 };
  const ownUser = namespaces.some((entry) => entry.type === 'user' && entry.path === undefined);
  const devices = (
    [
      ['null', 1, 3],
      ['zero', 1, 5],
      ['urandom', 1, 9],
      ['tty', 5, 0],
    ] as const
  ).map(([name, major, minor]) => ({
    path: `/dev/${name}`,
    source: `/dev/${name}`,
    type: 'c' as const,
    major,
    minor,
    mode: 0o666,
    restricted: false,
    asked: false,
    because: { kind: 'default', name: 'standard devices' } as const,
  }));
  const config: OciBase = {
    ociVersion: '1.2.0',
    process: {
      terminal: options.terminal ?? false,
      user: { uid: 0, gid: 0, additionalGids: [] },
      args: [...options.args],
      env: ['PATH=/bin', 'TERM=xterm'],
      cwd: options.cwd ?? '/',
      capabilities: {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
        inheritable: [],
        ambient: [],
      },
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: options.readonly ?? false },
    hostname: 'inside',
    linux: {
      namespaces: [...namespaces],
      ...(ownUser
        ? {
            uidMappings: [{ containerID: 0, ...shifted }],
            gidMappings: [{ containerID: 0, ...shifted, hostID: host.privileged ? 524_288 : host.egid }],
          }
        : {}),
      resources: {
        ...(options.memory === undefined ? {} : { memory: { limit: options.memory } }),
        ...(options.pids === undefined ? {} : { pids: { limit: options.pids } }),
      },
      maskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/sys'],
    },
  };
  return {
    name: 'test',
    config,
    logging: DEFAULT_LOGGING,
    writable: 'tmpfs',
    init: options.init ?? false,
    stdinOpen: options.terminal ?? false,
    because: (path) => ({ kind: 'default', name: path }),
    reasons: new Map(),
    stop: { signal: 15, graceMs: 10_000, ...options.stop },
    timeLimitMs: options.timeLimitMs,
    dropped: [],
    demands: [],
    warnings: [],
    borrowed: [],
    landlock: true,
    contents: [],
    ownFiles: [],
    keepGroups: false,
    mounts: [
      newMount('/proc', 'proc', ['nosuid', 'nodev', 'noexec']),
      newMount('/dev', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
      newMount('/dev/pts', 'devpts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666']),
      newMount('/dev/shm', 'tmpfs', ['nosuid', 'nodev', 'noexec', 'mode=1777']),
      newMount('/sys', 'sysfs', ['nosuid', 'nodev', 'noexec', 'ro']),
    ],
    devices,
  };
}

export function testImage(rootfs: string): ImageFacts {
  const layers = [{ kind: 'tree', path: rootfs }] as const;
  return {
    digest: '0'.repeat(64),
    record: '',
    layers,
    ownership: undefined,
    passwd: '',
    group: '',
    shell: '',
    defaults: {},
  };
}
