/** Paths of values in a configuration, such as `linux.resources.memory.limit` or `process.rlimits.3`: a wrong one is a type error. */
import type { PathIn } from '../yaml/path-in.ts';
import type { OciBase, OciResources } from './config.ts';

/** What the model has beside the configuration, since OCI has no word for it (model.ts). */
type OwnPath =
  | 'files'
  | `files.${'hosts' | 'resolv'}`
  | 'account'
  | 'init'
  | 'privileged'
  | 'root.writable'
  | 'stop.signal'
  | 'stop.graceMs'
  | 'restart'
  | 'timeLimitMs'
  | 'logging'
  | 'sockets'
  | 'pidMax'
  | 'systemd'
  | NetworkPath;

/** Of the container's network (src/model/network.ts). */
type NetworkPath =
  | 'network'
  | 'network.mac'
  | `network.${'ports' | 'networks'}.${number}`
  | 'network.egress'
  | `network.egress.${number}`
  | 'network.dns'
  | `network.rates.${'egress' | 'ingress'}`;

export type ConfigPath = PathIn<OciBase> | OwnPath;
/** Below `linux.resources`. */
export type ResourcePath = PathIn<OciResources>;
