/** `boxctl changes`: what a container has written, by its writable layer. */
import { describe, expect, test } from 'vitest';
import { withoutTargets } from '../../src/container/changes.ts';
import { box, type Box } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers } from '../support/container.ts';

const sh = (web: Box, script: string) => web.run(['exec', web.name, 'sh', '-c', script]);
const lines = async (web: Box): Promise<readonly string[]> =>
  (await web.run(['changes', web.name])).stdout.trimEnd().split('\n');

describe.skipIf(!hasBusybox).each(callers)('the changes of a container of $title', (caller) => {
  test('are what was added, changed and deleted, while it runs and afterwards', async () => {
    const web = box({ tmpfs: ['/t'], volumes: ['data:/var/data/deep'] }, caller);
    await web.run(['up', '-d']);
    expect(await web.run(['changes', web.name])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    await sh(
      web,
      'mkdir -p /new/in; echo x >/new/in/f; chmod 700 /new; echo y >>/etc/passwd; rm /bin/ls; echo z >/t/no; echo z >/var/data/deep/no; rm -r /home; mkdir /home; echo >/home/again; touch "/new/a\nb"',
    );
    const expected = [
      'C /bin',
      'D /bin/ls',
      'C /etc',
      'C /etc/passwd',
      'C /home',
      'A /home/again',
      'D /home/app',
      'A /new',
      String.raw`A "/new/a\nb"`,
      'A /new/in',
      'A /new/in/f',
    ];
    expect(await lines(web)).toEqual(expected);
    await web.run(['stop', '-t', '0', web.name]);
    expect(await lines(web)).toEqual(expected);
    const json = JSON.parse((await web.run(['changes', '--json', web.name])).stdout) as readonly object[];
    expect(json).toContainEqual({ kind: 'D', path: '/bin/ls' });
    expect(json).toContainEqual({ kind: 'A', path: '/new/a\nb' });
  });

  test('in a folder that was made anew are told apart from what was there before', async () => {
    const web = box({}, caller);
    await web.run(['up', '-d']);
    await sh(web, 'mv /bin /old && mkdir /old/bin2; /old/busybox mkdir /bin; /old/busybox touch /bin/sh');
    const found = await lines(web);
    expect(found).toContain('A /old/busybox');
    expect(found).toContain('C /bin');
    expect(found).toContain('C /bin/sh');
    expect(found).toContain('D /bin/busybox');
    expect(found).not.toContain('D /bin/sh');
  });

  test('are not known where they are in memory', async () => {
    const web = box({ writable: 'tmpfs' }, caller);
    await web.run(['up', '-d']);
    const { status, stdout, stderr } = await web.run(['changes', web.name]);
    expect([status, stdout]).toEqual([125, '']);
    expect(stderr).toContain('in memory');
    const locked = box({ read_only: true }, caller);
    await locked.run(['up', '-d']);
    expect(await locked.run(['changes', locked.name])).toMatchObject({ status: 0, stdout: '' });
  });
});

test('Folders that were made to mount something there are no changes, unless something else is in them', () => {
  const change = (line: string) => ({ kind: line.slice(0, 1) as 'A', path: line.slice(2) });
  const kept = (targets: readonly string[], ...all: readonly string[]): readonly string[] =>
    withoutTargets(all.map(change), targets).map(({ kind, path }) => `${kind} ${path}`);
  expect(kept(['/a/b'], 'A /a', 'A /a/b')).toEqual([]);
  expect(kept(['/a/b'], 'A /a', 'A /a/b', 'A /a/c')).toEqual(['A /a', 'A /a/c']);
  expect(kept(['/etc/hosts'], 'C /etc', 'A /etc/hosts', 'C /etc/passwd')).toEqual(['C /etc', 'C /etc/passwd']);
  expect(kept(['/a/b'], 'C /a', 'D /a/b')).toEqual(['C /a', 'D /a/b']);
  expect(kept([], 'A /a', 'A /a/b')).toEqual(['A /a', 'A /a/b']);
});
