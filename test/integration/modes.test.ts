/** How a run is shown: to a person, in a pipe, in a CI job, as lines, and as JSON. Standard output is the command's. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { boxctl, PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, self, sh, specFolder } from '../support/container.ts';

interface Line {
  readonly event: string;
  readonly id?: string;
  readonly status?: number;
  readonly signal?: string;
  readonly code?: string;
  readonly message?: string;
  readonly at?: { readonly line: number };
  readonly diagnostics?: readonly unknown[];
}
const linesOf = (stderr: string): readonly Line[] =>
  stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

interface PlannedStep {
  readonly id: string;
}
async function plannedIds(folder: string): Promise<readonly string[]> {
  const { stdout } = await boxctl(['plan', '--json'], callerOptions(self, folder));
  return (JSON.parse(stdout) as { steps: readonly PlannedStep[] }).steps.map(({ id }) => id);
}

describe.skipIf(!hasBusybox)('in a pipe (needs busybox-static)', () => {
  const WORDS = { command: ['sh', '-c', 'echo out; echo err >&2; exit 4'] };

  test.each([[[]], [['--quiet']]])('up %j prints nothing of its own', async (options) => {
    const { stdout, stderr, status } = await sh('echo out; echo err >&2; exit 4', {}, self, {
      args: ['up', ...options],
    });
    expect({ stdout, stderr, status }).toEqual({ stdout: 'out\n', stderr: 'err\n', status: 4 });
  });

  test('--verbose has a line for each step, in the plan’s order', async () => {
    const folder = specFolder(WORDS);
    await boxctl(['up'], callerOptions(self, folder));
    const ids = await plannedIds(folder);
    const { stdout, stderr, status } = await boxctl(['up', '-v'], callerOptions(self, folder));
    expect({ stdout, status }).toEqual({ stdout: 'out\n', status: 4 });
    const steps = stderr
      .split('\n')
      .filter((line) => /^(?:host {2}|inside) +(?:\d+(?:\.\d+)? ms|left out) {2}\w+\(/u.test(line));
    // The last one is the command itself.
    expect(steps).toHaveLength(ids.length - 1);
  });

  test('--json has every step of the plan, the start, and the end', async () => {
    const folder = specFolder({ ...WORDS, command: ['sh', '-c', 'echo out; exit 4'] });
    await boxctl(['up'], callerOptions(self, folder));
    const ids = await plannedIds(folder);
    const { stdout, stderr, status } = await boxctl(['up', '--json'], callerOptions(self, folder));
    expect({ stdout, status }).toEqual({ stdout: 'out\n', status: 4 });
    const lines = linesOf(stderr);
    // The launcher and the first process make some of them at the same time.
    const told = lines.filter(({ event }) => event === 'step').map(({ id }) => id);
    expect(told.toSorted()).toEqual(ids.slice(0, -1).toSorted());
    expect(lines.filter(({ event }) => event === 'started')).toHaveLength(1);
    expect(lines.at(-1)).toEqual({ event: 'exited', reason: 'exited', status: 4, limits: [] });
  });

  test('--json tells as JSON, too, that a signal did not end the command', async () => {
    const { stderr, status } = await sh('trap "echo asked" TERM; echo ready; while :; do sleep 0.1; done', {}, self, {
      args: ['up', '--json'],
      onStart: (child) => {
        // One signal when it is ready, one when it has got that, and one when boxctl has said that it goes on.
        child.stdout?.on('data', () => child.kill('SIGTERM'));
        child.stderr?.on('data', (text) => String(text).includes('goes on') && child.kill('SIGTERM'));
      },
    });
    expect(status).toBe(137);
    const told = linesOf(stderr).filter(({ event }) => event === 'warning');
    expect(told.map(({ message }) => message)).toEqual([
      'the command goes on; once more kills it',
      'the command does not end: killed',
    ]);
  });

  test('--json tells the signal that ended it by name', async () => {
    const args = ['up', '--json', '--allow', 'namespace=pid'];
    const { stderr, status } = await sh('kill -TERM $$', { namespaces: { pid: 'host' } }, self, { args });
    expect(status).toBe(143);
    expect(linesOf(stderr).at(-1)).toMatchObject({ event: 'exited', status: 143, signal: 'SIGTERM' });
  });

  test.each<[title: string, spec: object, line: object]>([
    [
      'a wrong file',
      { hostnme: 'x' },
      { code: 'E_SPEC_INVALID', diagnostics: [expect.objectContaining({ code: 'E_SPEC_UNKNOWN_KEY' })] },
    ],
    ['a command that is not there', { command: ['nope'] }, { code: 'E_COMMAND_NOT_FOUND' }],
    ['a user that the image does not know', { user: 'nobody-here' }, { code: 'E_USER_UNKNOWN' }],
  ])('--json tells %s as one line', async (_title, spec, expected) => {
    const folder = specFolder({ command: ['true'], ...spec });
    const { stdout, stderr, status } = await boxctl(['up', '--json'], callerOptions(self, folder));
    expect(stdout).toBe('');
    expect(status).toBeGreaterThanOrEqual(125);
    const told = linesOf(stderr).filter(({ event }) => event === 'error' || event === 'exited');
    expect(told).toEqual([expect.objectContaining({ event: 'error', ...expected })]);
  });
});

describe.skipIf(!hasBusybox || !existsSync('/usr/bin/script'))('on a terminal (needs busybox-static)', () => {
  const onTerminal = async (args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> => {
    const folder = specFolder({ command: ['echo', 'started'] });
    await boxctl(['up'], callerOptions(self, folder));
    const command = [process.execPath, PROGRAM, ...args].map((word) => `'${word}'`).join(' ');
    const { stdout } = await run(
      ['script', '-qec', command, '/dev/null'],
      callerOptions(self, folder, { env: { TERM: 'xterm', ...env } }),
    );
    return stdout;
  };

  test('a start that succeeds leaves no line on the screen', async () => {
    const text = await onTerminal(['up'], {});
    expect(text.split('\r\u001b[K').at(-1)).toBe('started\r\n');
    expect(text.match(/\n/gu)).toHaveLength(1);
  });

  test('with --progress list the steps are drawn in colour before the command starts', async () => {
    const text = await onTerminal(['up', '--progress', 'list'], {});
    expect(text).toContain('\u001b[32m✔\u001b[0m users');
    expect(text).toMatch(/✔[^]*started\r\n$/u);
  });

  test('a start that fails shows all steps up to the one that failed', async () => {
    const folder = specFolder({ command: ['true'], sysctls: { 'kernel.msgmax': '-5' } });
    const command = `'${process.execPath}' '${PROGRAM}' up`;
    const options = callerOptions(self, folder, { env: { TERM: 'xterm', NO_COLOR: '1' } });
    const { stdout } = await run(['script', '-qec', command, '/dev/null'], options);
    expect(stdout).toMatch(/✔ users[^]*✖ [^]*error: the step sysctl\./u);
  });

  test('NO_COLOR removes the colours and nothing else', async () => {
    const text = await onTerminal(['up'], { NO_COLOR: '1', BOXCTL_PROGRESS: 'list' });
    expect(text).toMatch(/✔ users[^]*started\r\n$/u);
    expect(text).not.toContain('\u001b[2m');
    expect(text).not.toContain('\u001b[32m');
  });

  test.each([
    [['up'], { CI: 'true' }],
    [['up'], { TERM: 'dumb' }],
    [['up', '--quiet'], {}],
  ])('%j with %j draws nothing', async (args, env) => {
    expect(await onTerminal(args, env)).toBe('started\r\n');
  });
});
