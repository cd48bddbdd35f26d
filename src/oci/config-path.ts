/** Paths of values in a configuration, such as `linux.resources.memory.limit` or `mounts.3`: a wrong one is a type error. */
import type { OciConfig, OciResources } from './config.ts';

type Leaf = string | number | boolean;
/** The paths of the values in T. Items of lists are numbered, and keys of maps can be any text. */
type PathIn<T> = T extends Leaf
  ? never
  : T extends readonly (infer Item)[]
    ? `${number}` | `${number}.${PathIn<Item>}`
    : { [Key in keyof T & string]: Key | `${Key}.${PathIn<NonNullable<T[Key]>>}` }[keyof T & string];

/** What the model has beside the configuration, since OCI has no word for it (model.ts). */
type OwnPath =
  | 'files'
  | 'account'
  | 'init'
  | 'privileged'
  | 'root.writable'
  | 'stop.signal'
  | 'stop.graceMs'
  | 'timeLimitMs'
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

export type ConfigPath = PathIn<OciConfig> | OwnPath;
/** Below `linux.resources`. */
export type ResourcePath = PathIn<OciResources>;
