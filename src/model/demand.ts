/** What a container has of its host that the person who runs it must allow. */
import type { Because } from './because.ts';

/** The kinds of demands, with what allowing all of a kind means. */
export const DEMAND_KINDS = {
  bind: 'paths of the host outside of the file’s folder',
  unprotect: 'files that git, or boxctl itself, runs or believes by themselves, under a bind that is written to',
  device: 'devices of the host',
  namespace: 'namespaces of the host',
  join: 'namespaces of other processes',
  container: 'the network of another container of yours',
  network: 'the network beyond this host, whatever is in it',
  egress: 'single addresses, subnets, names and ports of the network',
  reach: 'services of this host, and link-local addresses',
  subnet: 'addresses of the internet for containers, by which this host reaches nobody else then',
  shared_network: 'networks on which containers of other folders can be',
  port: 'ports of this host',
  ids: 'ids of the host’s own accounts',
  privileged: 'every capability, no system call filter, nothing hidden of /proc and /sys',
  cap: 'capabilities beyond the usual set',
  seccomp: 'another system call filter than the default, or none',
  sockets: 'the sockets that boxctl is started with',
  groups: 'the caller’s supplementary groups, and so the files of the host that they may use',
  new_privileges: 'set-user-id programs that gain privileges',
  unmask: 'files of /proc and /sys that are usually hidden or read-only',
  apparmor: 'being outside of every AppArmor profile',
  selinux: 'an SELinux label that is none of containers’',
  oom_score_adj: 'being spared when the host runs out of memory',
  ulimit: 'being run before the processes of the host',
  image: 'an image that not every user of the host may read, outside of the file’s folder',
  env_file: 'an env_file outside of the file’s folder',
  profile: 'a seccomp profile outside of the file’s folder',
  key: 'a public key that not every user of the host may read, outside of the file’s folder',
  secret: 'a file of a secret outside of the file’s folder',
  config: 'a file of a config outside of the file’s folder',
  tool: 'a program of the host outside of the standard folders',
  registry: 'a registry where a credential helper would log you in, although you have never named it',
  env: 'a variable of yours whose name, or value, says that it is secret',
} as const;
export type DemandKind = keyof typeof DEMAND_KINDS;

export interface Demand {
  readonly kind: DemandKind;
  /** What in particular: a path, a namespace, a capability. Empty where the kind says it all. */
  readonly value: string;
  /** Of a bind: nothing can be written through it. */
  readonly readOnly?: true;
  /** One sentence without full stop, about the container. */
  readonly message: string;
  readonly because: Because;
  /** What is printed of it, where a value that is not to be printed is a part of it. */
  readonly shown?: { readonly value: string; readonly message: string };
  /** The file that the demand names was not allowed when the document was loaded, so it was not read. The document must be loaded again with it allowed. */
  readonly unread?: true;
}
