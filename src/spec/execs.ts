/** Commands that are run in the container beside its own: `healthcheck`, `post_start` and `pre_stop`, as Compose has them. */
import type { ContainerFile } from '../generated/container.ts';
import { splitWords } from '../text/shell-words.ts';
import { addProblem, clip, clipKey, each, type Context } from './context.ts';
import { durationAt } from './limits.ts';
import type { Healthcheck, Hook, Spec } from './spec.ts';
import { parseUser } from './user.ts';
import { insidePath } from './values.ts';

type RawHealthcheck = NonNullable<ContainerFile['healthcheck']>;
type RawHook = NonNullable<ContainerFile['post_start']>[number];

const SHELL = ['/bin/sh', '-c'] as const;

/** The words of a `test`; `none`: there is no check, whatever the image has. Undefined: it is a problem. */
export function parseTest(test: string | readonly string[]): readonly string[] | 'none' | undefined {
  if (typeof test === 'string') return test.trim() === '' ? undefined : [...SHELL, test];
  const [kind, ...words] = test;
  if (kind === 'NONE') return words.length === 0 ? 'none' : undefined;
  if (kind === 'CMD') return words.length > 0 && words[0] !== '' ? words : undefined;
  return kind === 'CMD-SHELL' && words.length === 1 ? [...SHELL, ...words] : undefined;
}

const TEST_HINT =
  'write [CMD, program, argument…], [CMD-SHELL, "a command of the shell"], [NONE], or the command as a text';

/** Durations of 0 are the default, as Docker takes them. */
function timesOf(context: Context, raw: RawHealthcheck): Omit<Healthcheck, 'test' | 'isOff' | 'retries'> {
  const keys = {
    interval: 'interval',
    timeout: 'timeout',
    start_period: 'startPeriod',
    start_interval: 'startInterval',
  } as const;
  const found = Object.entries(keys).flatMap(([key, field]) => {
    const value = durationAt(context, raw[key as keyof typeof keys], `healthcheck.${key}`);
    return value === undefined || value === 0 ? [] : [[field, value] as const];
  });
  return Object.fromEntries(found);
}

function normaliseHealthcheck(context: Context, raw: RawHealthcheck | undefined): Healthcheck | undefined {
  if (raw === undefined) return undefined;
  const { test: given, retries, disable = false } = raw;
  const times = timesOf(context, raw);
  const test = given === undefined ? undefined : parseTest(given);
  if (given !== undefined && test === undefined) {
    const message = '`healthcheck.test` does not say what to run';
    return addProblem(context, 'healthcheck.test', 'E_SPEC_VALUE', message, { hint: TEST_HINT });
  }
  if (disable && given !== undefined && test !== 'none') {
    const message = '`healthcheck.disable` is true, and there is a test beside it';
    addProblem(context, 'healthcheck.disable', 'E_SPEC_CONFLICT', message, { hint: 'take one of them out' });
  }
  return {
    isOff: disable || test === 'none',
    ...(test === undefined || test === 'none' ? {} : { test }),
    ...times,
    ...(retries === undefined || retries === 0 ? {} : { retries }),
  };
}

function wordsOf(context: Context, raw: string | readonly string[], path: string): readonly string[] | undefined {
  const split = typeof raw === 'string' ? splitWords(raw) : raw;
  if ('problem' in split) {
    const options = { hint: 'a list needs no quoting: [sh, -c, …]' };
    return addProblem(context, path, 'E_SPEC_WORDS', `\`${path}\` ${split.problem}`, options);
  }
  if ((split[0] ?? '') === '') return addProblem(context, path, 'E_SPEC_VALUE', `\`${path}\` names no program`);
  return split;
}

function environmentOf(context: Context, raw: RawHook['environment'], path: string): Readonly<Record<string, string>> {
  const entries = Array.isArray(raw)
    ? each(context, raw, path).map(([item, at]) => {
        const equals = item.indexOf('=');
        return equals < 0
          ? ([item, undefined, at] as const)
          : ([item.slice(0, equals), item.slice(equals + 1), at] as const);
      })
    : Object.entries(raw ?? {}).map(([key, value]) => {
        const at = `${path}.${key}`;
        return [key, value === null ? undefined : (context.paths.text(at) ?? String(value)), at] as const;
      });
  const good = entries.flatMap(([key, value, at]): readonly (readonly [string, string])[] => {
    if (context.bad.has(at)) return [];
    if (key === '' || key.includes('=') || key.includes('\0') || value?.includes('\0') === true) {
      addProblem(context, at, 'E_SPEC_VALUE', `"${clipKey(key)}" and its value cannot be in an environment`);
      return [];
    }
    if (value !== undefined) return [[key, value]];
    addProblem(context, at, 'E_SPEC_VALUE', `the variable ${clipKey(key)} has no value`, {
      hint: `write it, or take your own: \`${clipKey(key)}: \${${clipKey(key)}}\``,
    });
    return [];
  });
  return Object.fromEntries(good);
}

function normaliseHooks(
  context: Context,
  raw: readonly RawHook[] | undefined,
  key: 'post_start' | 'pre_stop',
): readonly Hook[] {
  return each(context, raw ?? [], key).flatMap(([hook, specPath]): readonly Hook[] => {
    const command = wordsOf(context, hook.command, `${specPath}.command`);
    const text = hook.user === undefined ? undefined : String(hook.user);
    const user = text === undefined ? undefined : parseUser(text);
    if (text !== undefined && user === undefined) {
      addProblem(context, `${specPath}.user`, 'E_SPEC_USER', `"${clip(text)}" is no user`, {
        hint: 'USER or USER:GROUP, as ids or as names that the image knows',
      });
    }
    const workingDir =
      hook.working_dir === undefined ? undefined : insidePath(context, hook.working_dir, `${specPath}.working_dir`);
    if (command === undefined) return [];
    return [
      {
        command,
        ...(user === undefined ? {} : { user }),
        ...(workingDir === undefined ? {} : { workingDir }),
        privileged: hook.privileged ?? false,
        environment: environmentOf(context, hook.environment, `${specPath}.environment`),
        specPath,
      },
    ];
  });
}

export function normaliseExecs(
  context: Context,
  raw: ContainerFile,
): Pick<Spec, 'healthcheck' | 'postStart' | 'preStop'> {
  const healthcheck = normaliseHealthcheck(context, raw.healthcheck);
  const postStart = normaliseHooks(context, raw.post_start, 'post_start');
  const preStop = normaliseHooks(context, raw.pre_stop, 'pre_stop');
  return {
    ...(healthcheck === undefined ? {} : { healthcheck }),
    ...(postStart.length === 0 ? {} : { postStart }),
    ...(preStop.length === 0 ? {} : { preStop }),
  };
}
