/** `seccomp`: a word, or the path of a profile. */
import { dirname, relative } from 'node:path';
import type { ContainerFile } from '../generated/container.ts';
import { clip, hostPath, noteFile, readNoted, addProblem, type Context } from './context.ts';
import { realPath } from '../files/read.ts';
import { parseSeccompProfile, ProfileProblem } from './seccomp-profile.ts';
import type { SeccompChoice } from './spec.ts';
import { didYouMean } from './suggest.ts';

const WORDS = ['default', 'socketcall', 'unconfined', 'log', 'learn'] as const;

export function normaliseSeccomp(
  context: Context,
  raw: ContainerFile['seccomp'],
  name: string,
): SeccompChoice | undefined {
  if (raw === undefined) return undefined;
  if (typeof raw !== 'string') return learn(context, raw.learn ?? '', 'seccomp.learn');
  const word = WORDS.find((known) => known === raw);
  if (word === 'learn') return learn(context, `./${name}.seccomp.json`, 'seccomp');
  if (word !== undefined) return { kind: word };
  if (raw.includes('/') || raw.endsWith('.json')) return profile(context, raw);
  const meant = didYouMean(raw, WORDS);
  addProblem(context, 'seccomp', 'E_SPEC_SECCOMP', `there is no filter "${clip(raw)}"`, {
    hint:
      meant === undefined
        ? `${WORDS.join(', ')}, or the path of a profile: ./seccomp.json`
        : `did you mean \`${meant}\`?`,
  });
  return { kind: 'default' };
}

/** `learn`. The profile is written with the caller's rights, so the container file may choose a name in its folder only. */
function learn(context: Context, text: string, path: string): SeccompChoice {
  const file = hostPath(context, text);
  const below = relative(context.folder, file);
  if (dirname(file) !== context.folder || below === '' || !below.endsWith('.json')) {
    addProblem(
      context,
      path,
      'E_SPEC_PATH',
      `the profile is written beside this file, as NAME.json; found "${clip(text)}"`,
      {
        hint: '`seccomp: {learn: ./learned.json}`',
      },
    );
  }
  return { kind: 'learn', path: file };
}

/** Where a file is not JSON. The engine's own message quotes the file, which may be a secret of the host. */
function jsonProblem({ message }: SyntaxError): string {
  const position = /at position (\d+)/u.exec(message)?.[1];
  return position === undefined ? 'it is not JSON' : `it is not JSON (at character ${position})`;
}

function profile(context: Context, text: string): SeccompChoice {
  const path = noteFile(context, 'seccomp', hostPath(context, text), 'seccomp');
  if (path === undefined) return { kind: 'profile', path: realPath(hostPath(context, text)), profile: undefined };
  const read = readNoted(context, path);
  const wrong = (problem: string): SeccompChoice => {
    const message = `the profile "${clip(text)}" cannot be used: ${problem}`;
    addProblem(context, 'seccomp', 'E_SPEC_SECCOMP', message);
    return { kind: 'default' };
  };
  if (read.text === undefined) return wrong(read.problem);
  try {
    return { kind: 'profile', path, profile: parseSeccompProfile(JSON.parse(read.text)) };
  } catch (error) {
    if (error instanceof ProfileProblem) return wrong(error.message);
    if (error instanceof SyntaxError) return wrong(jsonProblem(error));
    throw error;
  }
}
