/** What an audit finds. */
import type { HostFacts } from '../host/facts.ts';
import type { Model } from '../model/model.ts';
import type { Because } from '../model/because.ts';
import type { ReadLock } from '../lock/lock.ts';
import type { Reference } from '../registry/reference.ts';
import type { SpecDocument } from '../spec/spec.ts';

/** In order, the least severe first. */
export const SEVERITIES = ['low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Stable names of the rules, as in specs/audit.md. */
export const RULES = [
  'bind-root',
  'bind-engine',
  'bind-secrets',
  'bind-system',
  'bind-unprotected',
  'bind-outside',
  'device',
  'host-user',
  'host-mount',
  'host-pid',
  'host-net',
  'host-ipc',
  'host-uts',
  'host-cgroup',
  'host-time',
  'joined-namespace',
  'host-services',
  'link-local',
  'network-wide',
  'network-egress',
  'shared-network',
  'public-subnet',
  'port-open',
  'port-local',
  'kept-groups',
  'sockets',
  'host-ids',
  'privileged',
  'capability',
  'no-seccomp',
  'own-seccomp',
  'new-privileges',
  'unmasked',
  'no-apparmor',
  'foreign-label',
  'oom-score',
  'priority',
  'private-image',
  'env-file',
  'given-file',
  'foreign-profile',
  'foreign-key',
  'foreign-tool',
  'secret-taken',
  'helper-login',
  'secret-value',
  'root-of-host',
  'secret-name',
  'bind-own-file',
  'no-memory-limit',
  'no-pids-limit',
  'unpinned-image',
  'floating-tag',
  'plain-registry',
  'policy-beside-lock',
  'bind-writable',
  'no-cpu-limit',
  'optional-limits',
  'host-tools-image',
  'root-user',
  'writable-root',
] as const;
export type RuleName = (typeof RULES)[number];

export interface Finding {
  readonly rule: RuleName;
  readonly severity: Severity;
  /** A sentence about the container, without a full stop. */
  readonly message: string;
  /** The change to the file that removes the finding. */
  readonly fix: string;
  readonly because: Because;
}

/** What an audit is told besides the file. */
export interface Beside {
  /** The lock of the file. */
  readonly lock?: ReadLock | undefined;
  /** Whether the configuration of this machine has a registry asked over plain HTTP, or without a certificate. */
  readonly isInsecure?: (reference: Reference) => boolean;
}

/** The input of each rule: the compiled model, which is what would run, and the document that it was compiled from. */
export interface Subject extends Beside {
  readonly document: SpecDocument;
  readonly model: Model;
  readonly host: HostFacts;
}
