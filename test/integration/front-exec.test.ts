/** Commands in containers that run, from kept plans: what they are like, and that whatever has changed is seen. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { boxctl, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, plain, project, withEnvironment, type Project } from '../support/front-project.ts';
import { front, frontAlone, neededNode, warm } from '../support/front.ts';
import { underTerminal } from '../support/front-terminal.ts';
import type { TestUser } from '../support/user.ts';

const started: Project[] = [];
let count = 0;

/** A container in the background, and its name. */
async function running(user?: TestUser, spec: object = {}): Promise<Project & { readonly name: string }> {
  count += 1;
  const name = `front-exec-${process.pid}-${count}`;
  const made = project({ command: ['sleep', '1000.25'], name, ...spec }, user);
  started.push(made);
  const { status, stderr } = await boxctl(['up', '--detach', '--allow', 'all'], made.options);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return { ...made, name };
}

const storeOf = ({ options }: Project): string => options.env?.['BOXCTL_STORE'] ?? '';

/** The ids of its containers. */
const idsOf = (made: Project): readonly string[] =>
  readdirSync(join(storeOf(made), 'containers')).filter((name) => /^[0-9a-f]{12}$/u.test(name));

/** The folder of its only container. */
const folderOf = (made: Project): string => join(storeOf(made), 'containers', idsOf(made)[0] ?? '');

afterEach(async () => {
  for (const made of started.splice(0)) {
    for (const id of idsOf(made)) await boxctl(['rm', '--force', id], made.options);
  }
});

describe.skipIf(!hasBusybox)('an exec from a kept plan (needs busybox-static)', () => {
  describe.each(callers)('as %s', (_, user) => {
    test.each([{}, { init: true }])(
      'needs no Node after the first one, whatever its command is, and is the same, with %j',
      async (keys) => {
        const made = await running(user, { environment: { A: 'b' }, working_dir: '/tmp', ...keys });
        await warm(['exec', made.name, 'true'], made.options);
        const commands = [
          ['sh', '-c', 'cat; echo "$A" "$PATH" "$0" "$@"; pwd; id; exit 3', 'zero', 'one', '', 'with space'],
          ['--', 'sh', '-c', 'grep -E "^(Cap|Seccomp|NoNewPrivs|Groups)" /proc/self/status; cat /proc/self/cgroup'],
          ['/bin/busybox', 'env'],
          ['sh', '-c', 'echo err >&2; ls -l /proc/self/ns | sed "s/.*-> //"; ulimit -a'],
          ['echo', '-n', '--quiet', '-i'],
          ['sh', '-c', 'kill -TERM $$; sleep 1'],
        ];
        for (const command of commands) {
          const words = ['exec', made.name, ...command];
          const options = { ...made.options, stdin: 'in\n' };
          const fresh = plain(await boxctl(words, options));
          expect({ command, ended: plain(await front(words, options)) }).toEqual({ command, ended: fresh });
          if (command.includes('kill -TERM $$; sleep 1')) continue;
          expect({ command, ended: plain(await frontAlone(words, options)) }).toEqual({ command, ended: fresh });
        }
      },
    );
  });

  test('tells of a command that is not there, and of a signal, in the words of Node', async () => {
    const made = await running();
    await warm(['exec', made.name, 'true'], made.options);
    for (const command of [['nosuch'], ['/etc'], ['sh', '-c', 'kill -SEGV $$'], ['sh', '-c', 'kill -KILL $$']]) {
      const words = ['exec', made.name, ...command];
      const fresh = plain(await boxctl(words, made.options));
      expect({ command, ended: plain(await front(words, made.options)) }).toEqual({ command, ended: fresh });
    }
  });

  test('keeps no value of the container’s environment beside the plans of starts', async () => {
    const made = await running(undefined, { environment: { MARKER: '${MARKER-}' } });
    await boxctl(['rm', '--force', made.name], made.options);
    await boxctl(['up', '--detach'], withEnvironment(made, { MARKER: 'marker-of-a-secret' }));
    expect((await warm(['exec', made.name, 'sh', '-c', 'echo $MARKER'], made.options)).stdout).toBe(
      'marker-of-a-secret\n',
    );
    const plans = join(storeOf(made), 'plans');
    for (const name of readdirSync(plans))
      expect(readFileSync(join(plans, name), 'latin1')).not.toContain('marker-of-a-secret');
    const kept = readdirSync(folderOf(made)).filter((name) => name.startsWith('exec-'));
    expect(kept).toHaveLength(1);
    expect(statSync(join(folderOf(made), kept[0] ?? '')).mode & 0o7777).toBe(0o600);
  });

  test('with a terminal gives it to the command, and leaves that of the caller as it was', async () => {
    const made = await running();
    const words = ['exec', '-it', made.name, 'sh', '-c', 'test -t 0 && test -t 1 && stty size && tty'];
    const starts = [];
    for (let start = 0; start < 3; start++) starts.push(await underTerminal(words, made.options));
    const alone = await underTerminal(words, made.options, { withNode: false });
    expect(alone).toEqual(starts[0]);
    expect(alone.output).toContain('/dev/pts/');
    expect(alone.before).toBe(alone.after);
    // Without a terminal there is an error, which is Node's to tell.
    expect(neededNode(await frontAlone(words, made.options))).toBe(true);
  });
});

describe.skipIf(!hasBusybox)('an exec is left to Node (needs busybox-static)', () => {
  const CHANGES: readonly (readonly [title: string, change: (made: Project & { name: string }) => Promise<unknown>])[] =
    [
      ['when the container is paused', (made) => boxctl(['pause', made.name], made.options)],
      ['when the container has been stopped', (made) => boxctl(['stop', '-t', '0', made.name], made.options)],
      ['when the container has been removed', (made) => boxctl(['rm', '--force', made.name], made.options)],
      ['when the container has another name', (made) => boxctl(['rename', made.name, `${made.name}-x`], made.options)],
      ['when the container was started again', (made) => boxctl(['restart', '-t', '0', made.name], made.options)],
      [
        'when another container has its name',
        async (made) => {
          await boxctl(['rm', '--force', made.name], made.options);
          return boxctl(['up', '--detach', '--allow', 'all'], made.options);
        },
      ],
      [
        'when what is kept of the container has changed',
        async (made) => {
          const model = join(folderOf(made), 'model.json');
          writeFileSync(model, readFileSync(model));
        },
      ],
    ];

  test.each(CHANGES)('%s', async (_, change) => {
    const made = await running();
    const words = ['exec', made.name, 'true'];
    expect(plain(await warm(words, made.options))).toEqual({ status: 0, stdout: '', stderr: '' });
    await change(made);
    expect(neededNode(await frontAlone(words, made.options))).toBe(true);
    const fresh = plain(await boxctl(words, made.options));
    expect(plain(await front(words, made.options))).toEqual(fresh);
  });

  test('with options for the command, with a part of an id, and in words that are not ASCII', async () => {
    const made = await running();
    await warm(['exec', made.name, 'true'], made.options);
    const [id = ''] = idsOf(made);
    const lines = [
      ['exec', '-e', 'A=b', made.name, 'true'],
      ['exec', '-u', 'root', made.name, 'true'],
      ['exec', '-w', '/tmp', made.name, 'true'],
      ['exec', '--verbose', made.name, 'true'],
      ['exec', made.name, '-i', 'cat'],
      ['exec', made.name, 'echo', 'ä'],
      ['exec', id.slice(0, 6), 'true'],
      ['exec', made.name],
    ];
    for (const words of lines) {
      for (let start = 0; start < 2; start++) await front(words, made.options);
      expect({ words, needed: neededNode(await frontAlone(words, made.options)) }).toEqual({ words, needed: true });
    }
    expect(neededNode(await warm(['exec', made.name, 'true'], made.options))).toBe(false);
  });

  test('where the bytes of its plan are not sound, whatever they are', async () => {
    const made = await running();
    const words = ['exec', made.name, 'true'];
    await warm(words, made.options);
    const folder = folderOf(made);
    const file = join(folder, readdirSync(folder).find((name) => name.startsWith('exec-')) ?? '');
    const bytes = readFileSync(file);
    const tries: readonly Buffer[] = [
      Buffer.alloc(0),
      bytes.subarray(0, 100),
      bytes.subarray(0, -1),
      Buffer.concat([bytes, Buffer.from([0])]),
      Buffer.concat([Buffer.from([1, 2, 3, 4]), bytes.subarray(4)]),
    ];
    for (const changed of tries) {
      writeFileSync(file, changed);
      const ended: Ended = await frontAlone(words, made.options);
      expect({ size: changed.length, needed: neededNode(ended) }).toEqual({ size: changed.length, needed: true });
    }
    for (let at = 4; at < bytes.length; at += 61) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      writeFileSync(file, changed);
      const { signal, status } = await frontAlone(words, made.options);
      // A byte can be one that makes no difference, or change what the command runs with, so that it is not found (127) or
      // ends by SIGSEGV itself (139). The front and the launcher end in order: else it would be a signal, or 125.
      expect({ at, signal, status }).toEqual({ at, signal: null, status: expect.toBeOneOf([0, 125, 127, 139]) });
    }
  }, 120_000);
});
