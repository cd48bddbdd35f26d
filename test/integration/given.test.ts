/** `secrets` and `configs`: files in memory, and the search for their bytes in everything else. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, launcherOf, SLEEPS, type Box } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, specFolder } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

/** Three of them, of which nothing else on the machine has a piece. */
const MARKS = ['file', 'variable', 'inline'].map((kind) => `MARK-${kind}-${process.pid}-Xk3`);
const [OF_FILE = '', OF_VARIABLE = '', INLINE = ''] = MARKS;

const KEYS = {
  secrets: {
    password: { file: './password.txt' },
    token: { environment: 'GIVEN_WORD', mode: '0400' },
  },
  configs: { settings: { content: `word=${INLINE}\n`, target: '/etc/app/settings.conf' } },
};

const ENV = { GIVEN_WORD: OF_VARIABLE };

function given(caller: (typeof callers)[number], keys: Readonly<Record<string, unknown>> = {}): Box {
  const web = box({ ...KEYS, ...keys }, caller);
  const file = join(web.folder, 'password.txt');
  writeFileSync(file, `${OF_FILE}\n`);
  chmodSync(file, 0o600);
  if (isRoot) chownSync(file, caller.uid, statSync(web.folder).gid);
  return web;
}

/** Whether a file below the folder has one of the words in it. */
function found(folder: string, words: readonly string[]): readonly string[] {
  const args = ['-rlaF', ...words.flatMap((word) => ['-e', word]), '--exclude=container.yaml', folder];
  try {
    return execFileSync('grep', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n')
      .filter(Boolean);
  } catch {
    return [];
  }
}

const FILES = '/run/secrets/password /run/secrets/token /etc/app/settings.conf';
const LOOK = `cat ${FILES}; stat -c "%a %u:%g %n" ${FILES}; (echo x >>/run/secrets/token) 2>/dev/null || grep -c " /run/secrets/token tmpfs ro," /proc/mounts`;
const SEEN = `${OF_FILE}\n${OF_VARIABLE}word=${INLINE}\n444 0:0 /run/secrets/password\n400 0:0 /run/secrets/token\n444 0:0 /etc/app/settings.conf\n1\n`;

describe.skipIf(!hasBusybox).each(callers)('secrets and configs of a container of $title', (caller) => {
  test('are files of the command in the foreground, in memory and read-only', async () => {
    const web = given(caller, { command: ['sh', '-c', LOOK] });
    expect(await web.run(['up'], { env: ENV })).toMatchObject({ status: 0, stdout: SEEN, stderr: '' });
  });

  test('are there in the background, for exec, too, and in no other file, print or process', async () => {
    const web = given(caller, { command: SLEEPS });
    const outputs: string[] = [];
    const run = async (...words: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await web.run(words, { env: ENV });
      outputs.push(stdout, stderr);
      return stdout;
    };
    await run('up', '--detach', '--verbose');
    const { id = '' } = (await web.listed()) ?? {};
    expect((await web.run(['exec', web.name, 'sh', '-c', LOOK])).stdout).toBe(SEEN);
    for (const words of [
      ['plan'],
      ['plan', '--json'],
      ['plan', '--show-values'],
      ['validate', '--json'],
      ['audit', '--json'],
      ['ps', '--all', '--json'],
    ]) {
      expect(await run(...words)).not.toBe('');
    }
    const launcher = launcherOf(web, id);
    if (isRoot) {
      for (const name of ['cmdline', 'environ', 'comm', 'maps']) {
        outputs.push(readFileSync(`/proc/${launcher}/${name}`, 'latin1'));
      }
    }
    expect(found(join(caller.store, 'containers', id), MARKS)).toEqual([]);
    expect(found(caller.stateFolder, MARKS)).toEqual([]);
    await run('stop', '--time', '0', web.name);
    expect(found(join(caller.store, 'containers', id), MARKS)).toEqual([]);
    await run('run', '--json', '--', 'true');
    for (const mark of MARKS) expect(outputs.join('\n')).not.toContain(mark);
  });

  test('belong to whom the file says, at the place that it says, also inside another mount', async () => {
    const web = given(caller, {
      secrets: [
        { source: 'password', file: './password.txt', target: 'db/pass', uid: '0', gid: 0, mode: '0440' },
        { source: 'password', file: './password.txt', target: '/opt/deep/in/pass' },
      ],
      configs: {},
      tmpfs: ['/opt'],
      command: [
        'sh',
        '-c',
        'stat -c "%a %u:%g" /run/secrets/db/pass; cat /opt/deep/in/pass; cat /opt/deep/in/pass >/dev/null',
      ],
    });
    expect(await web.run(['up'])).toMatchObject({ status: 0, stdout: `440 0:0\n${OF_FILE}\n`, stderr: '' });
  });

  test('are any bytes, and as large as a mebibyte', async () => {
    const web = given(caller, {
      configs: {},
      secrets: { big: { file: './big' } },
      command: ['sha256sum', '/run/secrets/big'],
    });
    const bytes = Buffer.alloc(1024 * 1024, Buffer.from([0, 255, 10, 128, 7]));
    writeFileSync(join(web.folder, 'big'), bytes);
    const expected = execFileSync('sha256sum', [join(web.folder, 'big')], { encoding: 'utf8' }).slice(0, 64);
    expect((await web.run(['up'])).stdout).toBe(`${expected}  /run/secrets/big\n`);
    writeFileSync(join(web.folder, 'big'), Buffer.alloc(1024 * 1024 + 1));
    expect((await web.run(['up'])).stderr).toContain('it is larger than 1048576 bytes');
  });

  test('outside of the folder, behind a link or not a file, are not read before that is allowed', async () => {
    const outside = specFolder({}, caller);
    writeFileSync(join(outside, 'word'), `${OF_FILE}-outside`);
    chmodSync(join(outside, 'word'), 0o644);
    const web = given(caller, {
      configs: {},
      secrets: { word: { file: './link' } },
      command: ['cat', '/run/secrets/word'],
    });
    symlinkSync(join(outside, 'word'), join(web.folder, 'link'));
    const refused = await web.run(['up']);
    expect(refused.status).toBe(125);
    expect(refused.stderr).toContain('is given as a secret');
    expect(refused.stderr).toContain(`--allow secret=${join(outside, 'word')}`);
    expect((await web.run(['plan'])).stdout).toContain('write_given');
    const allowed = await web.run(['up', '--allow', `secret=${join(outside, 'word')}`]);
    expect(allowed).toMatchObject({ status: 0, stdout: `${OF_FILE}-outside` });
    const folder = given(caller, { configs: {}, secrets: { word: { file: './folder' } } });
    mkdirSync(join(folder.folder, 'folder'));
    expect((await folder.run(['up'])).stderr).toContain('it is a folder');
    execFileSync('mkfifo', [join(folder.folder, 'pipe')]);
    writeFileSync(join(folder.folder, 'container.yaml'), 'image: ./x.tar\nsecrets: {a: {file: ./pipe}}\n');
    expect((await folder.run(['validate'])).stderr).toContain('it is no file');
  });

  test('of a variable that sounds secret are given once that is allowed', async () => {
    const web = given(caller, {
      configs: {},
      secrets: { token: { environment: 'DB_PASSWORD' } },
      command: ['cat', '/run/secrets/token'],
    });
    const env = { DB_PASSWORD: OF_VARIABLE };
    const refused = await web.run(['up'], { env });
    expect(refused.stderr).toContain('--allow env=DB_PASSWORD');
    expect(refused.stderr).not.toContain(OF_VARIABLE);
    expect(await web.run(['up', '--allow', 'env=DB_PASSWORD'], { env })).toMatchObject({ stdout: OF_VARIABLE });
  });
});

test.skipIf(!hasBusybox)('a container with a read-only root has its secrets, too', async () => {
  const [caller] = callers;
  if (caller === undefined) return;
  const web = given(caller, { configs: {}, command: ['sh', '-c', 'cat /run/secrets/password'], read_only: true });
  expect(await web.run(['up'], { env: ENV })).toMatchObject({ status: 0, stdout: `${OF_FILE}\n` });
});
