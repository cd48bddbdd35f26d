/** Masks of paths that are not there. */
import { describe, expect, test } from 'vitest';
import { hasBusybox } from '../support/busybox.ts';
import { callers, up } from '../support/container.ts';

interface StepEvent {
  readonly event: string;
  readonly id?: string;
  readonly outcome?: string;
}

describe.skipIf(!hasBusybox).each(callers)('by $title', (caller) => {
  test('nothing is mounted for a masked path that is not there, and those that are there are masked', async () => {
    const spec = {
      command: ['sh', '-c', 'cat /proc/keys; ls /proc/fs'],
      masked_paths: ['/proc/not-there', '/proc/keys', '/proc/nor-this-folder/', '/proc/fs/'],
    };
    const { status, stdout, stderr } = await up(spec, caller, { args: ['up', '--json', '--allow', 'all'] });
    expect([status, stdout]).toEqual([0, '']);
    const outcomes = new Map(
      stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as StepEvent)
        .flatMap(({ event, id = '', outcome }) => (event === 'step' && id.startsWith('mask.') ? [[id, outcome]] : [])),
    );
    expect(outcomes.get('mask.proc.not-there')).toBe('skipped');
    expect(outcomes.get('mask.proc.nor-this-folder')).toBe('skipped');
    expect(outcomes.get('mask.proc.keys')).toBe('done');
    // What is made for a path, and attached to it, goes with its opening.
    for (const [id, outcome] of outcomes) {
      const opened = outcomes.get(id.replace(/\.(?:cover|attach)\b.*$/u, ''));
      expect(`${id} ${outcome}`).toBe(`${id} ${opened}`);
    }
  });
});
