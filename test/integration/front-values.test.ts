/** Values of the caller's environment in starts from kept plans: they are put in at the start, and are in no file. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { until } from '../support/background.ts';
import { boxctl, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, plain, project, shell, withEnvironment, type Project } from '../support/front-project.ts';
import { FRONT, front, frontAlone, neededNode, warm } from '../support/front.ts';
import { isRoot } from '../support/user.ts';

const UP = ['up', '--quiet', '--allow', 'env=A', '--allow', 'env=B'];

const plansOf = ({ options }: Project): string => join(options.env?.['BOXCTL_STORE'] ?? '', 'plans');

const contentOf = (folder: string): string =>
  readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'latin1'))
    .join('\n');

const ENVIRONMENTS: readonly (readonly [title: string, environment: unknown])[] = [
  ['a name alone', ['A']],
  ['a name alone in a map', { A: null }],
  ['a list with a variable', ['X=${A}']],
  ['a map with a variable', { X: '${A}' }],
  ['two of them with text around', { X: '<${A}-${B}|${A}>', Y: 'y', Z: '${B}' }],
  ['a default that is not used', { X: '${A:-none}', Y: '${A-none}', Z: '${B:?it is needed}' }],
  ['a default within a default', { X: '${UNSET:-${A}}' }],
];

describe.skipIf(!hasBusybox)('values of the environment in a start from a kept plan (needs busybox-static)', () => {
  describe.each(callers)('as %s', (_, user) => {
    test.each(ENVIRONMENTS)('are those of each start, and are not kept: %s', async (_title, environment) => {
      const made = project({ ...shell('env'), environment }, user);
      const values = [
        { A: 'first-value-of-a', B: 'first-value-of-b' },
        { A: 'other', B: '1' },
        { A: 'a value with " quotes, \\ and $HOME\nand\ttwo lines', B: 'x://user:password@host/?token=abc' },
        { A: 'x'.repeat(3000), B: `-----BEGIN PRIVATE KEY-----\n${'Q'.repeat(64)}` },
      ];
      const [first = {}] = values;
      await warm(UP, withEnvironment(made, first));
      for (const value of values) {
        const options = withEnvironment(made, value);
        const fresh = plain(await boxctl(UP, options));
        expect({ value, ended: plain(await frontAlone(UP, options)) }).toEqual({ value, ended: fresh });
      }
      expect(contentOf(plansOf(made))).not.toContain('first-value');
    });
  });

  test('send the start to Node where they are not set, are empty, or are not plain letters', async () => {
    const made = project({ ...shell('env'), environment: { X: '${A:-none}', Y: '${B}' } });
    await warm(UP, withEnvironment(made, { A: 'one', B: 'two' }));
    const without: readonly Readonly<Record<string, string>>[] = [
      {},
      { A: 'one' },
      { B: 'two' },
      { A: '', B: 'two' },
      { A: 'one', B: '' },
      { A: 'ä', B: 'two' },
      { A: 'one', B: 'x'.repeat(131_073) },
    ];
    for (const value of without) {
      const ended = await frontAlone(UP, withEnvironment(made, value)).catch(() => undefined);
      if (ended !== undefined) expect({ value, needed: neededNode(ended) }).toEqual({ value, needed: true });
    }
    expect(neededNode(await frontAlone(UP, withEnvironment(made, { A: 'one', B: 'two' })))).toBe(false);
  });

  test('are kept as absent where nobody has set them', async () => {
    const made = project({ ...shell('env'), environment: { X: '${A:-none}', Y: '${B+set}' } });
    expect((await warm(UP, made.options)).stdout).toContain('X=none\n');
    expect(neededNode(await frontAlone(UP, withEnvironment(made, { A: 'one' })))).toBe(true);
    expect(neededNode(await frontAlone(UP, withEnvironment(made, { B: '' })))).toBe(true);
  });

  test('that look like secrets are judged by Node where only others were', async () => {
    const made = project({ ...shell('env'), environment: { X: '${A}' } });
    const words = ['up', '--quiet'];
    expect((await warm(words, withEnvironment(made, { A: 'https://example.org/path' }))).stdout).toContain('X=https:');
    expect(neededNode(await frontAlone(words, withEnvironment(made, { A: 'v1.2.3/other path' })))).toBe(false);
    const secrets = [
      'https://me:password@example.org/',
      'host;password=x',
      `ghp_${'a'.repeat(36)}`,
      'AKIAABCDEFGHIJKLMNOP',
    ];
    for (const A of secrets) {
      const options = withEnvironment(made, { A });
      expect({ A, needed: neededNode(await frontAlone(words, options)) }).toEqual({ A, needed: true });
      const { status, stderr } = await front(words, options);
      expect({ A, status, stderr }).toMatchObject({ status: 125, stderr: expect.stringContaining('env=A') as string });
    }
  });

  test('are what Node tells of, and hides, where the end needs words', async () => {
    const made = project({ ...shell('kill -KILL $$; sleep 1'), environment: ['A'] });
    const words = ['up', '--allow', 'env=A'];
    const options = withEnvironment(made, { A: 'a-long-value-of-a-secret' });
    const fresh = plain(await boxctl(words, options));
    for (let start = 0; start < 3; start++) expect(plain(await front(words, options))).toEqual(fresh);
  });

  test('are the container’s for an exec, as in a start by Node', async () => {
    const value = 'with " and \\ and\na line';
    const made = project({ ...shell('echo ready; exec sleep 1000.7'), environment: ['A'], name: 'front-values' });
    const seen: { readonly isFront: boolean; readonly model: unknown; readonly said: Ended }[] = [];
    for (let start = 0; start < 8 && seen.at(-1)?.isFront !== true; start++) {
      const env = { PATH: process.env['PATH'], ...made.options.env, A: value };
      const child = spawn(FRONT, UP, { cwd: made.folder, env });
      await new Promise((resolve) => void child.stdout.once('data', resolve));
      await sleep(500);
      const folder = join(isRoot ? '/run' : join(dirname(made.folder), 'run'), 'boxctl/foreground');
      // Others come and go at the same time, and this one's is written while the container runs already.
      const files = ['container.json', 'plan.json', 'model.json'];
      const textsOf = (id: string): readonly string[] => {
        try {
          return files.map((name) => readFileSync(join(folder, id, name), 'utf8'));
        } catch {
          return [];
        }
      };
      const [, plan, model] = await until(() =>
        readdirSync(folder)
          .map(textsOf)
          .find(([record = '']) => record.includes(`${made.folder}/`)),
      );
      const isFront = readlinkSync(`/proc/${child.pid}/exe`) === FRONT;
      const said = await boxctl(['exec', 'front-values', 'sh', '-c', 'echo "$A"'], made.options);
      seen.push({ isFront, model: [plan, model], said });
      const ended = new Promise((resolve) => void child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      await boxctl(['ps'], made.options);
    }
    expect(seen.at(-1)).toMatchObject({ isFront: true, said: { stdout: `${value}\n`, stderr: '' } });
    // The first one may have had the image as it was before its archive was read as a whole.
    expect(seen.at(-1)?.model).toEqual(seen.at(-2)?.model);
    expect(contentOf(plansOf(made))).not.toContain('with \\\\" and');
  }, 120_000);
});
