/** `runContainer`, which the command line and a library's caller start containers with. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runContainer } from '../../src/container/run.ts';
import { SILENT, type Reporter } from '../../src/container/reporter.ts';
import { loadSpec } from '../../src/spec/load.ts';
import { hasBusybox } from '../support/busybox.ts';
import { self, specFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';

const env = { PATH: process.env['PATH'], BOXCTL_STORE: self.store, HOME: '/root' };

function load(spec: Readonly<Record<string, unknown>>) {
  return loadSpec(join(specFolder(spec), 'container.yaml'), { env, home: '/root' });
}

/** Keeps what it is told, in order. */
function recorder(): { readonly told: string[]; readonly reporter: Reporter } {
  const told: string[] = [];
  const reporter: Reporter = {
    warning: (message) => told.push(`warning: ${message}`),
    notice: (message) => told.push(`notice: ${message}`),
    importing: (title) => {
      told.push(`importing ${title}`);
      return {
        progress: () => undefined,
        waiting: () => undefined,
        retrying: () => undefined,
        imported: () => told.push('imported'),
        end: async (failed) => void told.push(`end of import, failed: ${failed}`),
      };
    },
    launching: () => ({
      draws: true,
      event: ({ kind }) => void (told.at(-1) === kind || told.push(kind)),
      finish: async () => void told.push('finish'),
    }),
  };
  return { told, reporter };
}

describe.skipIf(!hasBusybox)('a container that a library’s caller runs (needs busybox-static)', () => {
  test('ends with the reason and the status of its command', async () => {
    const document = load({ command: ['sh', '-c', 'exit 3'], ...self.keys });
    expect(await runContainer(document, { env })).toMatchObject({ reason: 'exited', status: 3 });
  });

  test.each([
    [undefined, ['step', 'started', 'undo', 'ended']],
    [true, ['started', 'ended']],
  ] as const)('tells of steps that were done, unless its reporter is terse (%j)', async (terse, kinds) => {
    const told = new Set<string>();
    const launching: Reporter['launching'] = () => ({
      draws: false,
      ...(terse === undefined ? {} : { terse }),
      event: ({ kind }) => void told.add(kind),
      finish: async () => undefined,
    });
    const document = load({ command: ['true'], ...self.keys });
    await runContainer(document, { env, reporter: { ...SILENT, launching } });
    expect([...told].filter((kind) => ['step', 'started', 'undo', 'ended'].includes(kind))).toEqual(kinds);
  });

  test('has its image imported, its steps told, and its command held until all is drawn', async () => {
    const { told, reporter } = recorder();
    const document = load({ command: ['true'], ...self.keys });
    await runContainer(document, {
      env: { ...env, BOXCTL_STORE: join(tempFolder({ open: true }), 'store') },
      reporter,
    });
    expect(told.slice(0, 3)).toEqual([
      expect.stringContaining('importing'),
      'imported',
      'end of import, failed: false',
    ]);
    expect(told.indexOf('gate')).toBeLessThan(told.indexOf('finish'));
    expect(told.indexOf('finish')).toBeLessThan(told.indexOf('started'));
  });

  test('is refused what it demands of the host, unless the caller’s judge lets it pass', async () => {
    const demanding = load({ command: ['true'], volumes: ['/etc/hostname:/x:ro'], ...self.keys });
    await expect(runContainer(demanding, { env })).rejects.toMatchObject({ code: 'E_NOT_ALLOWED' });
    const judge = (): void => undefined;
    expect(await runContainer(demanding, { env, judge })).toMatchObject({ status: 0 });
  });

  test('that cannot start is explained, with the line that asked for it', async () => {
    const document = load({ command: ['/not-there'], ...self.keys });
    await expect(runContainer(document, { env })).rejects.toMatchObject({
      code: 'E_COMMAND_NOT_FOUND',
      at: { file: expect.any(String) as string },
    });
  });

  test('leaves no handler of signals behind, and sets none where the caller keeps them', async () => {
    const before = process.listenerCount('SIGTERM');
    let during = 0;
    const launching: Reporter['launching'] = (plan) => ({
      ...SILENT.launching(plan),
      event: () => void (during = Math.max(during, process.listenerCount('SIGTERM'))),
    });
    const document = load({ command: ['true'], ...self.keys });
    await runContainer(document, { env, reporter: { ...SILENT, launching }, takesSignals: false });
    expect(during).toBe(before);
    await runContainer(document, { env, reporter: { ...SILENT, launching } });
    expect([during, process.listenerCount('SIGTERM')]).toEqual([before + 1, before]);
  });
});
