/** What `boxctl diff` and `boxctl audit` say of the lock beside a file. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, type Ended } from '../support/boxctl.ts';
import { tempFolder } from '../support/temp.ts';

const REF = 'image: ghcr.io/org/app:1\n';
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const shown = (digit: string): string => `sha256:${digit.repeat(12)}`;
const lockOf = (index: string, manifest = index, ref = 'ghcr.io/org/app:1'): string =>
  `version: 1\nimage:\n  ref: ${ref}\n  name: ${ref}\n  index: ${digest(index)}\n  platforms:\n    linux/amd64:\n` +
  `      manifest: ${digest(manifest)}\n      config: ${digest(manifest)}\n`;

function project(files: Readonly<Record<string, string>>) {
  const folder = tempFolder();
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  for (const [name, text] of Object.entries(files)) write(name, text);
  return { folder, write, boxctl: (...args: readonly string[]): Promise<Ended> => boxctl(args, { cwd: folder }) };
}

describe('diff', () => {
  test('tells what changed in a lock, with the lines of both, and by its direction', async () => {
    const at = project({ 'a.yaml': REF, 'b.yaml': REF, 'a.lock': lockOf('1', '2'), 'b.lock': lockOf('3', '2') });
    const changed = await at.boxctl('diff', 'a.yaml', 'b.yaml');
    expect(changed).toMatchObject({ status: 1, stderr: '' });
    expect(changed.stdout).toBe(
      `changes\n  ~ locked: ghcr.io/org/app:1 (index) ${shown('1')} → ${shown('3')}  (a.lock:2 → b.lock:2)\n`,
    );
    at.write('b.lock', `${lockOf('1', '2')}files:\n  ./x.env: ${digest('4')}\n`);
    expect((await at.boxctl('diff', 'a.yaml', 'b.yaml')).stdout).toBe(
      `loses\n  - is locked: ./x.env ${shown('4')}  (b.lock:11)\n`,
    );
    rmSync(join(at.folder, 'b.lock'));
    const gone = await at.boxctl('diff', '--fail-on-gain', 'a.yaml', 'b.yaml');
    expect(gone.status).toBe(1);
    expect(gone.stdout).toContain(
      `gains\n  + is not locked any more: ghcr.io/org/app:1 (index) ${shown('1')}  (a.lock:2)`,
    );
    const added = await at.boxctl('diff', '--fail-on-gain', 'b.yaml', 'a.yaml');
    expect(added.status).toBe(0);
    expect(added.stdout).toContain('loses\n  - is locked: ghcr.io/org/app:1');
    const json = JSON.parse((await at.boxctl('diff', '--json', 'a.yaml', 'b.yaml')).stdout) as object;
    expect(json).toMatchObject({ changes: [{ direction: 'gains', before: { file: 'a.lock', line: 2 } }, {}, {}] });
  });

  test('another reference with its own lock is a change, and neither a gain nor a loss', async () => {
    const other = 'ghcr.io/org/app:2';
    const at = project({
      'a.yaml': REF,
      'b.yaml': `image: ${other}\n`,
      'a.lock': lockOf('1'),
      'b.lock': lockOf('2', '2', other),
    });
    const { status, stdout } = await at.boxctl('diff', '--fail-on-gain', 'a.yaml', 'b.yaml');
    expect(status).toBe(0);
    expect(stdout).toContain(`  ~ the lock has ${other} (index) ${shown('2')}  (b.lock:2)`);
    expect(stdout).toContain(`  ~ the lock had ghcr.io/org/app:1 (index) ${shown('1')}  (a.lock:2)`);
  });

  test('takes the lock of the same revision of git, and none where that has none', async () => {
    const at = project({ 'container.yaml': REF });
    const git = (...args: readonly string[]) =>
      execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@example.org', ...args], { cwd: at.folder });
    git('init', '-q');
    git('add', '.');
    git('commit', '-qm', 'one');
    at.write('container.lock', lockOf('1'));
    git('add', '.');
    git('commit', '-qm', 'two');
    at.write('container.lock', lockOf('2', '1'));
    const last = await at.boxctl('diff', 'HEAD:container.yaml', 'container.yaml');
    expect(last.stdout).toBe(
      `changes\n  ~ locked: ghcr.io/org/app:1 (index) ${shown('1')} → ${shown('2')}  (HEAD:container.lock:2 → container.lock:2)\n`,
    );
    const first = await at.boxctl('diff', 'HEAD~1:container.yaml', 'container.yaml');
    expect(first.stdout).toContain('loses\n  - is locked: ghcr.io/org/app:1 (index)');
    at.write('container.lock', 'version: 1\nfiles: 7\n');
    git('commit', '-qam', 'three');
    const broken = await at.boxctl('diff', 'HEAD:container.yaml', 'HEAD~1:container.yaml');
    expect(broken.status).toBe(125);
    expect(broken.stderr).toContain('HEAD:container.lock:2:8: error: `files` must be a map');
  });

  test('a lock that is a link is not followed', async () => {
    const at = project({ 'a.yaml': REF, 'b.yaml': REF, secret: 'the-secret\n' });
    symlinkSync('secret', join(at.folder, 'b.lock'));
    const { status, stdout, stderr } = await at.boxctl('diff', 'a.yaml', 'b.yaml');
    expect(status).toBe(125);
    expect(stderr).toContain('b.lock is not used: it is a link');
    expect(stdout + stderr).not.toContain('the-secret');
  });
});

describe('audit', () => {
  const rules = async (at: ReturnType<typeof project>, ...args: readonly string[]): Promise<readonly string[]> => {
    const { stdout, stderr } = await at.boxctl('audit', '--json', ...args);
    expect(stderr).toBe('');
    const { findings } = JSON.parse(stdout) as { findings: readonly { rule: string; severity: string }[] };
    return findings
      .filter(({ rule }) => /tag|image|registry|lock/u.test(rule))
      .map(({ rule, severity }) => `${rule} ${severity}`);
  };

  test('flags a tag that has neither a digest nor a lock', async () => {
    const at = project({ 'container.yaml': REF, 'digest.yaml': `image: ghcr.io/org/app@${digest('1')}\n` });
    expect(await rules(at)).toEqual(['floating-tag medium']);
    expect((await at.boxctl('audit')).stdout).toMatch(
      /^medium +container\.yaml:1:\d .*\[floating-tag\]\n +→ `boxctl lock`/mu,
    );
    expect(await rules(at, 'digest.yaml')).toEqual([]);
    at.write('container.lock', lockOf('1'));
    expect(await rules(at)).toEqual([]);
    // A lock of another reference is none of this one.
    at.write('container.lock', lockOf('1', '1', 'ghcr.io/org/app:2'));
    expect(await rules(at)).toEqual(['floating-tag medium']);
    expect(
      await at.boxctl('audit', '--fail-on', 'medium', '--ignore', 'floating-tag,no-memory-limit,no-pids-limit'),
    ).toMatchObject({
      status: 0,
    });
  });

  test('takes an archive that is locked for pinned', async () => {
    const at = project({ 'container.yaml': 'image: ./rootfs.tar\n', 'rootfs.tar': '' });
    expect(await rules(at)).toEqual(['unpinned-image medium']);
    at.write('container.lock', `version: 1\nimage:\n  tar: ./rootfs.tar\n  digest: ${digest('1')}\n`);
    expect(await rules(at)).toEqual([]);
  });

  test('flags a registry that is asked without TLS, by its address or by the configuration', async () => {
    const at = project({
      'local.yaml': `image: localhost:5000/x@${digest('1')}\n`,
      'plain.yaml': `image: registry.example.test/x@${digest('1')}\n`,
      conf: '[[registry]]\nlocation = "registry.example.test"\ninsecure = true\n',
    });
    expect(await rules(at, 'local.yaml')).toEqual(['plain-registry medium']);
    expect(await rules(at, 'plain.yaml')).toEqual([]);
    const env = { CONTAINERS_REGISTRIES_CONF: join(at.folder, 'conf') };
    const { stdout } = await boxctl(['audit', 'plain.yaml'], { cwd: at.folder, env });
    expect(stdout).toMatch(
      /registry\.example\.test, which is asked without TLS that can be trusted {2}\[plain-registry\]/u,
    );
  });

  test('flags a `pull_policy` that asks, beside a lock that decides', async () => {
    const at = project({ 'container.yaml': `${REF}pull_policy: always\n` });
    expect(await rules(at)).toEqual(['floating-tag medium']);
    at.write('container.lock', lockOf('1'));
    expect(await rules(at)).toEqual(['policy-beside-lock low']);
    at.write('container.yaml', `${REF}pull_policy: never\n`);
    expect(await rules(at)).toEqual([]);
  });

  test('a lock that cannot be used is an error', async () => {
    const at = project({ 'container.yaml': REF });
    mkdirSync(join(at.folder, 'container.lock'));
    const { status, stderr } = await at.boxctl('audit');
    expect(status).toBe(125);
    expect(stderr).toContain('container.lock is not used: it is no regular file');
  });
});
