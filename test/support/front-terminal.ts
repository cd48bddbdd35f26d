/** The program `boxctl` at a terminal of its own, which script(1) of util-linux makes. */
import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from './background.ts';
import { run, type RunOptions } from './boxctl.ts';
import { FRONT } from './front.ts';

export interface AtTerminal {
  readonly output: string;
  /** What stty(1) says of the terminal. */
  readonly before: string;
  readonly after: string;
  readonly status: number | null;
}

/** `boxctl ARGS…`; `withNode`: whether there is a Node. */
export async function underTerminal(
  args: readonly string[],
  options: RunOptions,
  { withNode = true } = {},
): Promise<AtTerminal> {
  const quoted = [FRONT, ...args].map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
  const program = withNode ? quoted : `PATH=/nowhere ${quoted}`;
  const script = `stty cols 91 rows 27; stty -a; echo; echo @@@; ${program}; s=$?; echo @@@; stty -a; exit $s`;
  const ended = await run(['script', '-qec', script, '/dev/null'], options);
  // The end of standard input is shown as `^@`, at no certain place.
  const [before = '', output = '', after = ''] = ended.stdout.replaceAll(/\r|\^@/gu, '').split('@@@\n');
  return { output, before: before.trim(), after: after.trim(), status: ended.status };
}

/** What a container at a terminal writes in its first moments. Then `boxctl` is killed, and with it the container ends. */
async function beginning(command: string, cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn('script', ['-qec', `echo "$$"; ${command}`, '/dev/null'], {
    cwd,
    env: { ...env, SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => void child.on('close', resolve));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => void (output += chunk.toString()));
  const [, session = ''] = await until(() => /^(\d+)\s/u.exec(output) ?? undefined);
  // A command may write nothing. Node keeps the plan when the command runs.
  for (let waited = 0; /^\d+\s*$/u.test(output) && waited < 100; waited++) await sleep(20);
  await sleep(300);
  // All but the launcher, which sees to the end of the container.
  spawnSync('pkill', ['-KILL', '-s', session, '-f', 'dist/boxctl']);
  await ended;
  await until(() => spawnSync('pgrep', ['-s', session]).status !== 0 || undefined);
  return output;
}

/** Starts it at terminals of its own until no Node is needed. */
export async function keepAtTerminal(words: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<void> {
  const command = [FRONT, ...words].map((word) => `'${word}'`).join(' ');
  for (let start = 0; start < 8; start++) {
    await beginning(command, cwd, env);
    const output = await beginning(`PATH=/nowhere ${command}`, cwd, env);
    if (!output.includes('PATH has no `node`')) return;
  }
  throw new Error('no plan is kept');
}
