/** The rules about what a container has of its host: one for each kind of demand, so that none can be forgotten. */
import type { Demand, DemandKind } from '../model/demand.ts';
import { NAMESPACE_KINDS } from '../spec/spec.ts';
import type { Finding, RuleName, Severity, Subject } from './finding.ts';

interface Verdict {
  readonly rule: RuleName;
  readonly severity: Severity;
  readonly fix: string;
}
type Rule = (demand: Demand, subject: Subject) => Verdict;

const hasOwnUsers = ({ model }: Subject): boolean => model.config.linux.namespaces.some(({ type }) => type === 'user');

/** Whoever talks to one of these starts what he likes as root of the host. */
const ENGINE_SOCKETS = /\/(?:docker|containerd|crio|podman|buildkitd)\.sock$|\/(?:containerd|podman|crio|docker)$/u;
const SECRET_PATHS =
  /^\/(?:root|home\/[^/]+)(?:\/\.(?:ssh|gnupg|aws|azure|kube|docker|netrc|npmrc|pypirc|git-credentials|config|password-store)(?:\/|$)|$)|^\/etc\/(?:shadow|gshadow|ssh|ssl\/private|sudoers)|^\/run\/secrets|^\/var\/lib\/(?:docker|containers|kubelet)/u;
const SYSTEM_PATHS = /^\/(?:etc|usr|bin|sbin|lib\w*|boot|root|home|var|run|proc|sys|dev|opt)(?:\/|$)/u;

const OUT = 'take it out, or copy what is needed into the folder of the file';

function bindVerdict({ value, readOnly }: Demand): Verdict {
  if (value === '/') return { rule: 'bind-root', severity: 'critical', fix: 'bind the one folder that is needed' };
  if (ENGINE_SOCKETS.test(value)) return { rule: 'bind-engine', severity: 'critical', fix: 'take it out' };
  if (SECRET_PATHS.test(value)) return { rule: 'bind-secrets', severity: 'critical', fix: OUT };
  if (SYSTEM_PATHS.test(value)) {
    const fix = readOnly === true ? OUT : `${OUT}; with \`:ro\` it could at least not be changed`;
    return { rule: 'bind-system', severity: readOnly === true ? 'high' : 'critical', fix };
  }
  const fix = readOnly === true ? OUT : 'add `:ro` if it is only read';
  return { rule: 'bind-outside', severity: readOnly === true ? 'medium' : 'high', fix };
}

const NAMESPACES: Readonly<Record<string, Severity>> = {
  user: 'critical',
  mount: 'critical',
  pid: 'high',
  net: 'high',
  ipc: 'medium',
  uts: 'low',
  cgroup: 'low',
  time: 'low',
};

/** With these, a process of the host's own user namespace is as good as root of the host. */
const ROOTLIKE = new Set([
  'ALL',
  'SYS_ADMIN',
  'SYS_MODULE',
  'SYS_PTRACE',
  'SYS_RAWIO',
  'SYS_BOOT',
  'DAC_READ_SEARCH',
  'BPF',
  'MAC_ADMIN',
  'MAC_OVERRIDE',
  'NET_ADMIN',
  'PERFMON',
  'SYSLOG',
]);

/** Every address, or so many of a family that those of strangers are among them. */
const isWideEgress = (value: string): boolean =>
  value.startsWith('*') || Number(/\/(\d+)/u.exec(value)?.[1] ?? 128) < 8;

const RULES: Readonly<Record<DemandKind, Rule>> = {
  bind: bindVerdict,
  unprotect: () => ({ rule: 'bind-unprotected', severity: 'high', fix: 'take `protect: false` out, or add `:ro`' }),
  device: ({ value }) => ({
    rule: 'device',
    severity: /^\/dev\/(?:fuse|net\/tun|null|zero|full|random|urandom|tty|dri\/renderD\d+)$/u.test(value)
      ? 'medium'
      : 'high',
    fix: 'take the device out, or give it read-only',
  }),
  namespace: ({ value }) => ({
    rule: `host-${NAMESPACE_KINDS.find((kind) => kind === value) ?? 'user'}`,
    severity: NAMESPACES[value] ?? 'high',
    fix: `make it private: \`namespaces: {${value}: private}\`, or name it in the list`,
  }),
  join: () => ({ rule: 'joined-namespace', severity: 'high', fix: 'make it private, unless both belong together' }),
  container: () => ({
    rule: 'joined-namespace',
    severity: 'medium',
    fix: 'give the container a network of its own: `network_mode: bridge`',
  }),
  network: () => ({
    rule: 'network-wide',
    severity: 'medium',
    fix: 'say what it needs: `egress: ["example.com:443"]`; or `egress: none`',
  }),
  egress: ({ value }) => ({
    rule: isWideEgress(value) ? 'network-wide' : 'network-egress',
    severity: isWideEgress(value) ? 'medium' : 'low',
    fix: 'take out of `egress` what is not needed',
  }),
  reach: ({ value }) => ({
    rule: value.startsWith('host-gateway') ? 'host-services' : 'link-local',
    severity: 'high',
    fix: 'take it out of `egress`, or name the one port that is needed',
  }),
  subnet: () => ({
    rule: 'public-subnet',
    severity: 'high',
    fix: 'choose a private one, such as 172.30.0.0/24 or fd00:30::/64, or leave it out',
  }),
  shared_network: () => ({
    rule: 'shared-network',
    severity: 'medium',
    fix: 'take `name` and `external` out: then containers of this folder alone are on it',
  }),
  port: ({ value }) =>
    /^(?:127\.[\d.]*|\[::1\]):/u.test(value)
      ? { rule: 'port-local', severity: 'low', fix: 'take it out of `ports` if nothing on this host needs it' }
      : {
          rule: 'port-open',
          severity: 'medium',
          fix: `for this host alone, write the address before it: "127.0.0.1:${/\d+(?:-\d+)?(?:\/udp)?$/u.exec(value)?.[0] ?? ''}:…"`,
        },
  ids: ({ value }) => ({
    rule: 'host-ids',
    severity: /^0(?:-|$)/u.test(value) ? 'critical' : 'high',
    fix: 'leave `uid_map` and `gid_map` out, or map ids from 100000 on',
  }),
  privileged: (_demand, subject) => ({
    rule: 'privileged',
    severity: hasOwnUsers(subject) ? 'high' : 'critical',
    fix: 'take it out, and add what is missed key by key',
  }),
  cap: ({ value }, subject) => ({
    rule: 'capability',
    severity: hasOwnUsers(subject)
      ? ROOTLIKE.has(value)
        ? 'high'
        : 'medium'
      : ROOTLIKE.has(value)
        ? 'critical'
        : 'high',
    fix: 'take it out of `cap_add`',
  }),
  seccomp: ({ value }, subject) => ({
    rule: value === 'unconfined' ? 'no-seccomp' : 'own-seccomp',
    severity: value !== 'unconfined' ? 'medium' : hasOwnUsers(subject) ? 'high' : 'critical',
    fix: '`seccomp: default`',
  }),
  groups: () => ({ rule: 'kept-groups', severity: 'medium', fix: 'take `keep_groups` out' }),
  sockets: () => ({ rule: 'sockets', severity: 'low', fix: 'take `socket_activation` out' }),
  new_privileges: () => ({ rule: 'new-privileges', severity: 'high', fix: '`no_new_privileges: true`' }),
  unmask: () => ({ rule: 'unmasked', severity: 'high', fix: 'leave the default paths hidden and read-only' }),
  apparmor: () => ({ rule: 'no-apparmor', severity: 'high', fix: 'take `apparmor` out, or name a profile' }),
  selinux: () => ({ rule: 'foreign-label', severity: 'high', fix: 'take `selinux` out, or use a label of containers' }),
  oom_score_adj: () => ({
    rule: 'oom-score',
    severity: 'medium',
    fix: 'take `oom_score_adj` out, or make it positive',
  }),
  ulimit: ({ value }) => ({ rule: 'priority', severity: 'medium', fix: `take \`${value}\` out of \`ulimits\`` }),
  // A folder is seen as it is, like a bind that is only read.
  image: (demand, { document }) =>
    document.spec.image?.kind === 'folder'
      ? bindVerdict({ ...demand, readOnly: true })
      : { rule: 'private-image', severity: 'medium', fix: 'keep the image in the folder of the file' },
  env_file: () => ({ rule: 'env-file', severity: 'high', fix: 'keep the env_file in the folder of the file' }),
  profile: () => ({ rule: 'foreign-profile', severity: 'medium', fix: 'keep the profile in the folder of the file' }),
  key: () => ({ rule: 'foreign-key', severity: 'low', fix: 'keep the public key in the folder of the file' }),
  tool: () => ({ rule: 'foreign-tool', severity: 'high', fix: 'name a program of the system, or use a tarball' }),
  registry: () => ({
    rule: 'helper-login',
    severity: 'high',
    fix: 'log in to the registry by its name, if it is yours: boxctl login REGISTRY',
  }),
  secret: () => ({ rule: 'given-file', severity: 'high', fix: 'put the file beside the container file' }),
  config: () => ({ rule: 'given-file', severity: 'high', fix: 'put the file beside the container file' }),
  env: () => ({ rule: 'secret-taken', severity: 'high', fix: 'pass it with `-e` when it is run, or as a file' }),
};

export function demandFindings(subject: Subject): readonly Finding[] {
  return subject.model.demands.map((demand) => {
    const { message, because } = demand;
    return { ...RULES[demand.kind](demand, subject), message, because };
  });
}
