/**
 * Reads a seccomp profile as Docker and the OCI write it (JSON). A field that boxctl does not support is an error: without
 * it, the filter would allow or refuse other calls than the profile says.
 */
import { constants } from 'node:os';

export const SECCOMP_ACTIONS = {
  SCMP_ACT_ALLOW: 'SCMP_ACT_ALLOW',
  SCMP_ACT_ERRNO: 'SCMP_ACT_ERRNO',
  SCMP_ACT_KILL: 'SCMP_ACT_KILL_THREAD',
  SCMP_ACT_KILL_THREAD: 'SCMP_ACT_KILL_THREAD',
  SCMP_ACT_KILL_PROCESS: 'SCMP_ACT_KILL_PROCESS',
  SCMP_ACT_LOG: 'SCMP_ACT_LOG',
  SCMP_ACT_TRAP: 'SCMP_ACT_TRAP',
} as const;
export type SeccompAction = (typeof SECCOMP_ACTIONS)[keyof typeof SECCOMP_ACTIONS];

const CANNOT: Readonly<Record<string, string>> = {
  SCMP_ACT_TRACE: 'it needs a tracer, and boxctl is none',
  SCMP_ACT_NOTIFY: 'it needs a program that answers, and boxctl starts none',
};

export const SECCOMP_OPERATORS = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const;

const FLAGS = ['SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW'] as const;
/** Linux's EFAULT and all others are below it (MAX_ERRNO). */
const MAX_ERRNO = 4095;

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo: number;
  readonly op: (typeof SECCOMP_OPERATORS)[number];
}

/** When a rule counts, or does not: architectures by Docker's names, capabilities, the least kernel. */
export interface SeccompCondition {
  readonly arches: readonly string[];
  readonly caps: readonly string[];
  readonly minKernel: readonly [major: number, minor: number] | undefined;
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet: number | undefined;
  readonly args: readonly SeccompArgument[];
  readonly includes: SeccompCondition;
  readonly excludes: SeccompCondition;
}

export interface SeccompProfile {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet: number | undefined;
  /** The OCI's names. */
  readonly architectures: readonly string[];
  readonly archMap: readonly { readonly architecture: string; readonly subArchitectures: readonly string[] }[];
  readonly flags: readonly (typeof FLAGS)[number][];
  readonly syscalls: readonly SeccompRule[];
}

type Json = Readonly<Record<string, unknown>>;

/** Where in the profile, and what is wrong with it; never what it holds, since it may be another file than it should. */
export class ProfileProblem extends Error {}

function fail(path: string, message: string): never {
  throw new ProfileProblem(`${path === '' ? 'the profile' : path} ${message}`);
}

function asObject(value: unknown, path: string, known: readonly string[]): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(path, 'must be an object');
  const object = value as Json;
  const strange = Object.keys(object).find((key) => !known.includes(key));
  if (strange !== undefined) fail(path, `has a key that is none of ${known.join(', ')}`);
  return object;
}

function asList(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) fail(path, 'must be a list');
  return value;
}

function asText(value: unknown, path: string): string {
  return typeof value === 'string' && value !== '' ? value : fail(path, 'must be text');
}

function asTexts(value: unknown, path: string): readonly string[] {
  return asList(value, path).map((item, index) => asText(item, `${path}[${index}]`));
}

function asNumber(value: unknown, path: string, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) fail(path, 'must be a whole number');
  if (value > most) {
    fail(path, most === Number.MAX_SAFE_INTEGER ? 'is too large to be read exactly' : `is more than ${most}`);
  }
  return value;
}

/** Podman's profiles have the name of the error beside its number, or alone. */
function asErrno(value: unknown, name: unknown, path: string): number | undefined {
  if (value !== undefined && value !== null) return asNumber(value, path, MAX_ERRNO);
  if (name === undefined || name === '') return undefined;
  const number = Object.entries(constants.errno).find(([known]) => known === name)?.[1];
  return number ?? fail(path, 'is no error that there is');
}

function asAction(value: unknown, path: string): SeccompAction {
  const text = asText(value, path);
  const why = CANNOT[text];
  if (why !== undefined) fail(path, `is ${text}, which cannot be had: ${why}`);
  const found = Object.entries(SECCOMP_ACTIONS).find(([name]) => name === text);
  return found?.[1] ?? fail(path, `is none of ${Object.keys(SECCOMP_ACTIONS).join(', ')}`);
}

function asCondition(value: unknown, path: string): SeccompCondition {
  const { arches, caps, minKernel } = asObject(value ?? {}, path, ['arches', 'caps', 'minKernel']);
  const version = /^(\d+)\.(\d+)$/u.exec(minKernel === undefined ? '0.0' : asText(minKernel, `${path}.minKernel`));
  if (version === null) fail(`${path}.minKernel`, 'must be MAJOR.MINOR');
  return {
    arches: asTexts(arches, `${path}.arches`),
    caps: asTexts(caps, `${path}.caps`),
    minKernel: minKernel === undefined ? undefined : [Number(version[1]), Number(version[2])],
  };
}

function asArgument(value: unknown, path: string): SeccompArgument {
  const { index, value: first, valueTwo, op } = asObject(value, path, ['index', 'value', 'valueTwo', 'op']);
  const operator = SECCOMP_OPERATORS.find((known) => known === op);
  if (operator === undefined) fail(`${path}.op`, `is none of ${SECCOMP_OPERATORS.join(', ')}`);
  return {
    index: asNumber(index, `${path}.index`, 5),
    value: asNumber(first, `${path}.value`),
    valueTwo: asNumber(valueTwo ?? 0, `${path}.valueTwo`),
    op: operator,
  };
}

const RULE_KEYS = ['names', 'name', 'action', 'errnoRet', 'errno', 'args', 'comment', 'includes', 'excludes'];

function asRule(value: unknown, path: string): SeccompRule {
  const rule = asObject(value, path, RULE_KEYS);
  const names = [...asTexts(rule['names'], `${path}.names`), ...(rule['name'] === undefined ? [] : [rule['name']])];
  if (names.length === 0) fail(path, 'names no system call');
  return {
    names: names.map((name) => asText(name, `${path}.name`)),
    action: asAction(rule['action'], `${path}.action`),
    errnoRet: asErrno(rule['errnoRet'], rule['errno'], `${path}.errnoRet`),
    args: asList(rule['args'], `${path}.args`).map((item, index) => asArgument(item, `${path}.args[${index}]`)),
    includes: asCondition(rule['includes'], `${path}.includes`),
    excludes: asCondition(rule['excludes'], `${path}.excludes`),
  };
}

const PROFILE_KEYS = [
  'defaultAction',
  'defaultErrnoRet',
  'defaultErrno',
  'architectures',
  'archMap',
  'flags',
  'syscalls',
  'listenerPath',
  'listenerMetadata',
];

/** @throws ProfileProblem with the place in the profile */
export function parseSeccompProfile(json: unknown): SeccompProfile {
  const profile = asObject(json, '', PROFILE_KEYS);
  if (profile['listenerPath'] !== undefined) fail('listenerPath', 'cannot be had: boxctl hands no listener to others');
  return {
    defaultAction: asAction(profile['defaultAction'], 'defaultAction'),
    defaultErrnoRet: asErrno(profile['defaultErrnoRet'], profile['defaultErrno'], 'defaultErrnoRet'),
    architectures: asTexts(profile['architectures'], 'architectures'),
    archMap: asList(profile['archMap'], 'archMap').map((item, index) => {
      const path = `archMap[${index}]`;
      const { architecture, subArchitectures } = asObject(item, path, ['architecture', 'subArchitectures']);
      return {
        architecture: asText(architecture, `${path}.architecture`),
        subArchitectures: asTexts(subArchitectures, `${path}.subArchitectures`),
      };
    }),
    flags: asTexts(profile['flags'], 'flags').map(
      (flag, index) =>
        FLAGS.find((known) => known === flag) ?? fail(`flags[${index}]`, `is none of ${FLAGS.join(', ')}`),
    ),
    syscalls: asList(profile['syscalls'], 'syscalls').map((item, index) => asRule(item, `syscalls[${index}]`)),
  };
}
