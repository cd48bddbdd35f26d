/** What has changed since a container in the background was started: the words of `boxctl diff`, and what is not in its file. */
import type { HostFacts } from '../host/facts.ts';
import { isUnread } from '../image/identity.ts';
import { placeOf } from '../model/because.ts';
import { readInRoot } from '../native.ts';
import { diff, type Change } from '../review/diff.ts';
import type { KeptContainer } from '../state/containers.ts';
import { firstProcess } from '../state/running.ts';
import type { StartedFrom } from '../state/started-from.ts';
import type { Reporter } from './reporter.ts';

const changed = (message: string): Change => ({ direction: 'changes', message, before: undefined, after: undefined });

/** Gains first, as `boxctl diff` has them. Empty: it is the container that would be started now. */
export function changesSince(
  before: StartedFrom,
  now: StartedFrom,
  host: HostFacts,
  container: KeptContainer,
): readonly Change[] {
  return [
    ...diff(before.document, now.document, host),
    ...imageChanges(before, now),
    ...overrideChanges(before, now),
    ...contentChanges(now, host, container),
  ];
}

const short = (digest: string): string => `sha256:${digest.slice(0, 12)}`;

/** The digest of an archive may not be known yet: then it is the same as long as it was not written to. */
function imageChanges(before: StartedFrom, now: StartedFrom): readonly Change[] {
  const [was, is] = [before.image, now.image];
  if (was === is || was === undefined || is === undefined) return [];
  if (before.archive !== undefined && before.archive === now.archive) return [];
  if (isUnread(was) || isUnread(is)) return [changed('the archive of the image is another one')];
  return [changed(`the image is another one: ${short(was)} → ${short(is)}`)];
}

function overrideChanges({ overrides: was }: StartedFrom, { overrides: is }: StartedFrom): readonly Change[] {
  const keys = [...new Set([...Object.keys(was), ...Object.keys(is)])] as (keyof StartedFrom['overrides'])[];
  const words = {
    entrypoint: 'entrypoint',
    command: 'command',
    tty: '--tty',
    stdinOpen: '--interactive',
    environment: '--env',
  };
  return keys
    .filter((key) => JSON.stringify(was[key]) !== JSON.stringify(is[key]))
    .map((key) => changed(`the command line asks for another ${words[key]}`));
}

/**
 * What secrets and configs hold is kept nowhere, so it is read where the container has it. The files are mounted read-only there.
 * One that the caller may not read, since it belongs to another id, is taken to be the same.
 */
function contentChanges(
  { document: { spec } }: StartedFrom,
  host: HostFacts,
  container: KeptContainer,
): readonly Change[] {
  const { given = [] } = spec;
  const first = given.length === 0 ? undefined : firstProcess(host, container.name, container.id);
  if (first === undefined) return [];
  return given.flatMap(({ kind, name, target, content }): readonly Change[] => {
    if (content === undefined) return [];
    try {
      const found = readInRoot(`/proc/${first.pid}/root`, target.slice(1), content.size + 1);
      const same = found === undefined || Buffer.compare(found, content.reveal()) === 0;
      return same ? [] : [changed(`another content of ${kind} ${name} at ${target}`)];
    } catch (error) {
      const tooLarge = error instanceof Error && 'code' in error && error.code === 'EFBIG';
      return tooLarge ? [changed(`another content of ${kind} ${name} at ${target}`)] : [];
    }
  });
}

const SIGNS = { gains: '+', loses: '-', changes: '~' } as const;

export function tellChanges(changes: readonly Change[], reporter: Pick<Reporter, 'notice'>): void {
  for (const { direction, message, before, after } of changes) {
    const because = after ?? before;
    reporter.notice(`${SIGNS[direction]} ${message}`, because === undefined ? undefined : placeOf(because));
  }
}
