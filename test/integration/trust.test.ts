/** Hostile specifications: what a file asks of the host is refused until the person who runs it says otherwise. */
import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BoxctlError } from '../../src/errors.ts';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { openArchive } from '../../src/image/archive.ts';
import { ensureImage, findImage } from '../../src/image/resolve.ts';
import { compile, ownershipFor } from '../../src/model/compile.ts';
import { planContainer } from '../../src/plan/container.ts';
import { explainFailure } from '../../src/run/explain.ts';
import { launch } from '../../src/launcher/launch.ts';
import { loadSpec } from '../../src/spec/load.ts';
import type { SpecDocument } from '../../src/spec/spec.ts';
import { hasCompiler, startSwapping } from '../support/attack.ts';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, ownedFolder, self, sh, specFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const SECRET = 'the canary’s secret';

/** A folder of the host, with a file in it that nobody may read or change. */
function canary(): { readonly folder: string; readonly text: () => string } {
  const folder = tempFolder({ open: true });
  const file = join(folder, 'secret');
  writeFileSync(file, SECRET);
  chmodSync(file, 0o666);
  return { folder, text: () => readFileSync(file, 'utf8') };
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('all demands that are not allowed are told together, and nothing is started', async () => {
    const { folder, text } = canary();
    const { status, stdout, stderr } = await sh(
      'echo started; echo changed >/host/secret',
      {
        volumes: [`${folder}:/host`, '/:/all:ro'],
        namespaces: { net: 'host', ipc: '/proc/1/ns/ipc' },
        environment: ['MY_TOKEN'],
      },
      caller,
      { env: { MY_TOKEN: 'x' } },
    );
    expect({ status, stdout, text: text() }).toEqual({ status: 125, stdout: '', text: SECRET });
    for (const allow of [`bind=${folder}`, 'bind=/:ro', 'namespace=net', 'join=/proc/1/ns/ipc', 'env=MY_TOKEN']) {
      expect(stderr).toContain(`if you trust this file, say --allow ${allow}\n`);
    }
    expect(stderr.match(/container\.yaml:\d+:\d+: error: not allowed: /gu)).toHaveLength(5);
    expect(stderr).toMatch(/to allow all of it: (--allow \S+ ?){5}\n$/u);
  });

  test('a container gets the demands that are allowed, and no others', async () => {
    const { folder } = canary();
    const spec = { volumes: [`${folder}:/host:ro`] };
    const script = 'cat /host/secret; echo changed >/host/secret';
    const allowed = (allow: string) => sh(script, spec, caller, { args: ['up', '--allow', allow] });
    expect(await allowed(`bind=${folder}:ro`)).toMatchObject({ stdout: SECRET, status: 1 });
    expect(await allowed('all')).toMatchObject({ stdout: SECRET, status: 1 });
    expect(await allowed(`bind=${folder}/secret`)).toMatchObject({ stdout: '', status: 125 });
    const writing = await sh(script, { volumes: [`${folder}:/host`] }, caller, {
      args: ['up', '--allow', `bind=${folder}:ro`],
    });
    expect(writing).toMatchObject({ stdout: '', status: 125 });
    expect(writing.stderr).toContain(`say --allow bind=${folder}\n`);
  });

  test('a link in the folder is judged by its target', async () => {
    const { folder: outside } = canary();
    const folder = specFolder({ volumes: ['./out:/out', './in:/in'], command: ['ls', '/in'] }, caller);
    writeFileSync(join(ownedFolder(caller, 'real', folder), 'file'), '');
    symlinkSync(outside, join(folder, 'out'));
    symlinkSync(join(folder, 'real'), join(folder, 'in'));
    const refused = await boxctl(['up'], callerOptions(caller, folder));
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr.match(/not allowed/gu)).toHaveLength(1);
    expect(refused.stderr).toContain(`--allow bind=${outside}\n`);
    const { stdout } = await boxctl(['up', '--allow', `bind=${outside}`], callerOptions(caller, folder));
    expect(stdout).toBe('file\n');
  });

  test('a policy outside of the project is used, one inside of it is not', async () => {
    const { folder: outside } = canary();
    const spec = { volumes: [`${outside}:/host:ro`], command: ['cat', '/host/secret'] };
    const folder = specFolder(spec, caller);
    const policy = (config: string): void => {
      const file = join(ownedFolder(caller, 'boxctl', config), 'policy.yaml');
      writeFileSync(file, `folders: {${folder}: ["bind=${outside}:ro"]}\n`, { mode: 0o644 });
    };
    const config = tempFolder({ open: true });
    policy(config);
    policy(folder);
    const up = (XDG_CONFIG_HOME: string) => boxctl(['up'], callerOptions(caller, folder, { env: { XDG_CONFIG_HOME } }));
    expect(await up(config)).toMatchObject({ status: 0, stdout: SECRET });
    const own = await up(folder);
    expect(own).toMatchObject({ status: 125, stdout: '' });
    expect(own.stderr).toContain('is not used');
  });

  test('the plan shows what would have to be allowed, and at which steps', async () => {
    const { folder: outside } = canary();
    const spec = { volumes: [`${outside}:/host:ro`], namespaces: { net: 'host' }, command: ['true'] };
    const folder = specFolder(spec, caller);
    const { stdout, status } = await boxctl(['plan'], callerOptions(caller, folder, { env: { COLUMNS: '200' } }));
    expect(status).toBe(0);
    expect(stdout).toContain(`  --allow bind=${outside}:ro: reads ${outside} of the host, as /host `);
    expect(stdout).toMatch(/ {2}--allow namespace=net: uses the host’s network.* container\.yaml:\d+\n/u);
    expect(stdout).toMatch(
      new RegExp(`openat2\\(AT_FDCWD, "${outside}".* needs --allow, container\\.yaml:\\d+\n`, 'u'),
    );
    const json = await boxctl(['plan', '--json'], callerOptions(caller, folder));
    const { demands } = JSON.parse(json.stdout) as { demands: readonly { allow: string }[] };
    expect(demands.map(({ allow }) => allow)).toEqual(['namespace=net', `bind=${outside}:ro`]);
  });

  test('an env_file that would never end is not waited for', async () => {
    const folder = specFolder({ env_file: './pipe', command: ['true'] }, caller);
    execFileSync('mkfifo', ['-m', '0666', join(folder, 'pipe')]);
    const { status, stderr } = await boxctl(['up'], callerOptions(caller, folder));
    expect(status).toBe(125);
    expect(stderr).toContain('it is no file');
  });

  test('a program that came with the file is not run on the host to be packed', async () => {
    const folder = specFolder({ image: { host_tools: ['./x'] } }, caller);
    const marker = join(tempFolder({ open: true }), 'ran');
    const loader = join(folder, 'loader');
    writeFileSync(loader, `#!/bin/sh\necho >${marker}\n`, { mode: 0o755 });
    writeFileSync(join(folder, 'x.c'), 'int main(void) { return 0; }\n');
    const program = join(folder, 'program');
    const compiler = process.env['CXX'] ?? 'g++';
    execFileSync(compiler, ['-x', 'c', join(folder, 'x.c'), '-o', program, `-Wl,--dynamic-linker=${loader}`]);
    writeFileSync(join(folder, 'container.yaml'), `image: {host_tools: [${program}]}\ncommand: [${program}]\n`);
    const refused = await boxctl(['up'], callerOptions(caller, folder));
    expect(refused).toMatchObject({ status: 125 });
    expect(refused.stderr).toContain(`--allow tool=${program}\n`);
    const allowed = await boxctl(['up', '--allow', 'tool'], callerOptions(caller, folder));
    expect(allowed).toMatchObject({ status: 125 });
    expect(allowed.stderr).toContain('none of this system');
    expect(existsSync(marker)).toBe(false);
  });
});

describe.each(callers)('programs of host_tools, as $title', (caller) => {
  const packing = (folder: string, tool: string, PATH: string, ...words: readonly string[]) => {
    writeFileSync(
      join(folder, 'container.yaml'),
      `image: {host_tools: [sh, ${tool}]}\ncommand: [sh, -c, 'echo ran']\n`,
    );
    return boxctl(['up', ...words], callerOptions(caller, folder, { env: { PATH } }));
  };
  const programIn = (folder: string, name: string, mode: number): string => {
    const program = join(folder, name);
    execFileSync('install', ['-m', mode.toString(8), realpathSync('/bin/true'), program]);
    if (caller.user !== undefined) chownSync(program, caller.user.uid, caller.user.gid);
    return program;
  };
  const STANDARD = '/usr/bin:/bin';

  test('a program that PATH finds in the project’s folder is not run unless it is allowed', async () => {
    const folder = specFolder({}, caller);
    const bin = ownedFolder(caller, 'bin', folder);
    // Of a name that the system has, too.
    for (const name of ['mytool', 'ls']) {
      const program = programIn(bin, name, 0o755);
      const refused = await packing(folder, name, `${bin}:${STANDARD}`);
      expect(refused).toMatchObject({ status: 125, stdout: '' });
      expect(refused.stderr).toContain(`--allow tool=${program}\n`);
    }
    expect(await packing(folder, 'ls', STANDARD)).toMatchObject({ status: 0, stdout: 'ran\n' });
  });

  test('relative folders of PATH are not searched', async () => {
    const folder = specFolder({}, caller);
    const bin = ownedFolder(caller, 'bin', folder);
    programIn(bin, 'mytool', 0o755);
    for (const relative of ['bin', './bin', '.', '']) {
      const refused = await packing(folder, 'mytool', `${relative}:${STANDARD}`);
      expect(refused).toMatchObject({ status: 125, stdout: '' });
      expect(refused.stderr).toContain('this host has no program mytool');
    }
  });

  test('a program that only the caller may read is not packed unless it is allowed', async () => {
    const folder = specFolder({}, caller);
    const elsewhere = ownedFolder(caller, 'bin', tempFolder({ open: true }));
    const program = programIn(elsewhere, 'private', 0o700);
    const refused = await packing(folder, 'private', `${elsewhere}:${STANDARD}`);
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain(`holds ${program}, which not every user of the host may read`);
    const allowed = await packing(folder, 'private', `${elsewhere}:${STANDARD}`, '--allow', `tool=${program}`);
    expect(allowed).toMatchObject({ status: 0, stdout: 'ran\n' });
  });
});

describe.skipIf(!hasBusybox)('a source that is swapped for a link (needs busybox-static)', () => {
  test('after it was judged is not followed, and the error says so', async () => {
    const { folder: outside } = canary();
    const folder = specFolder({ volumes: ['./data/sub:/data'], command: ['cat', '/data/secret'] });
    mkdirSync(join(folder, 'data/sub'), { recursive: true });
    const env = { PATH: process.env['PATH'], BOXCTL_STORE: self.store, HOME: '/root' };
    const host = gatherHostFacts(env);
    const document = loadSpec(join(folder, 'container.yaml'), { env, home: '/root' });
    const { image: source } = document.spec;
    if (source === undefined) throw new Error('no image');
    const image = await ensureImage(source, ownershipFor(document, host), host);
    const model = compile(document, image, host);
    expect(model.demands).toEqual([]);
    const plan = planContainer(model, image, host);

    rmSync(join(folder, 'data'), { recursive: true });
    mkdirSync(join(outside, 'sub'));
    symlinkSync(outside, join(folder, 'data'));
    const outcome = await launch(plan).done;
    expect(outcome.kind).toBe('failed');
    expect(explainFailure(plan, outcome)).toMatchObject({
      message: expect.stringContaining('ELOOP') as string,
      hint: expect.stringContaining('became a symbolic link') as string,
    });
  });

  test('and is the folder of an image is not followed', async () => {
    const { folder: outside } = canary();
    const folder = specFolder({ image: { folder: './tree' }, command: ['/x'] });
    mkdirSync(join(folder, 'tree'));
    const env = { PATH: process.env['PATH'], BOXCTL_STORE: self.store, HOME: '/root' };
    const host = gatherHostFacts(env);
    const document = loadSpec(join(folder, 'container.yaml'), { env, home: '/root' });
    const { image: source } = document.spec;
    const image = source === undefined ? undefined : findImage(source, ownershipFor(document, host), host);
    if (image === undefined) throw new Error('no image');
    const plan = planContainer(compile(document, image, host), image, host);
    rmSync(join(folder, 'tree'), { recursive: true });
    symlinkSync(outside, join(folder, 'tree'));
    const outcome = await launch(plan).done;
    expect(explainFailure(plan, outcome)?.message).toContain('ELOOP');
  });

  test('at any moment never shows the host', { timeout: 240_000 }, async () => {
    const { folder: outside, text } = canary();
    const script = 'cat /data/secret; echo changed >/data/secret; ls /data';
    const folder = specFolder({ volumes: ['./data:/data'], command: ['sh', '-c', script] });
    const data = ownedFolder(self, 'data', folder);
    writeFileSync(join(data, 'secret'), 'own');
    symlinkSync(outside, join(folder, 'link'));
    // The other container that shares the folder: it swaps as fast as it can.
    const swap = `
      const { renameSync } = require('node:fs');
      for (;;) {
        renameSync('data', 'kept'); renameSync('link', 'data');
        renameSync('data', 'link'); renameSync('kept', 'data');
      }`;
    const swapper = spawn(process.execPath, ['-e', swap], { cwd: folder, stdio: 'ignore' });
    onTestFinished(() => void swapper.kill('SIGKILL'));
    const seen = new Set<string>();
    // More often than 40 times where a busy machine has shown one side of the race alone.
    const bothWays = (): boolean => seen.has('own') && seen.size > 1;
    for (let attempt = 0; attempt < 40 || (attempt < 160 && !bothWays()); attempt++) {
      const { stdout, stderr, status } = await boxctl(
        ['up'],
        callerOptions(self, folder, { once: 'its source changes all the time' }),
      );
      expect(stdout).not.toContain('canary');
      seen.add(status === 0 ? 'own' : (/not allowed|ELOOP|ENOENT|no such file/u.exec(stderr)?.[0] ?? stderr));
    }
    swapper.kill('SIGKILL');
    expect(text()).toBe(SECRET);
    expect(readdirSync(outside)).toEqual(['secret']);
    // The race was one: it went both ways.
    expect(bothWays()).toBe(true);
  });
});

/** What a file names, what the host has of the same kind, and what of it was read in the end. */
const NAMED: readonly (readonly [
  key: string,
  spec: Readonly<Record<string, unknown>>,
  text: (secret: boolean) => string,
  read: (document: SpecDocument) => string,
])[] = [
  [
    'env_file',
    { env_file: './named' },
    (secret) => `WHOSE=${secret ? 'the host’s' : 'its own'}\n`,
    ({ spec }) => spec.environment['WHOSE'] ?? '',
  ],
  [
    'seccomp',
    { seccomp: './named' },
    (secret) => JSON.stringify({ defaultAction: secret ? 'SCMP_ACT_LOG' : 'SCMP_ACT_ALLOW' }),
    ({ spec }) => JSON.stringify(spec.seccomp),
  ],
  [
    'image',
    { image: { tar: './named' } },
    (secret) => (secret ? 'the host’s' : 'its own'),
    ({ spec }) => {
      if (spec.image?.kind !== 'tar') throw new Error('no archive');
      const { fd } = openArchive(spec.image.path);
      try {
        return readFileSync(fd, 'utf8');
      } finally {
        closeSync(fd);
      }
    },
  ],
];

describe.skipIf(!hasCompiler)('a file that is swapped for a link at any moment (needs cc)', () => {
  test.each(NAMED)('%s: what is read is what was judged', async (_key, spec, text, read) => {
    const outside = tempFolder();
    writeFileSync(join(outside, 'secret'), text(true));
    const folder = specFolder({ image: { host_tools: ['sh'] }, ...spec });
    writeFileSync(join(folder, 'named'), text(false));
    symlinkSync(join(outside, 'secret'), join(folder, 'link'));
    const load = () => loadSpec(join(folder, 'container.yaml'), { env: {}, home: '/root' });
    const own = read(load());

    await startSwapping(folder, 'named', 'link');
    const seen = { own: 0, refused: 0, judged: 0, leaked: 0 };
    const isOneSided = (): boolean => seen.own === 0 || seen.refused === 0 || seen.judged === 0;
    for (let attempt = 0; attempt < 800 || (isOneSided() && attempt < 20_000); attempt++) {
      try {
        const document = load();
        const isInside = document.files.every(({ file }) => file.startsWith(`${folder}/`));
        const found = read(document);
        if (!isInside) seen.judged += 1;
        else if (found === own) seen.own += 1;
        else seen.leaked += 1;
      } catch (error) {
        if (!(error instanceof BoxctlError)) throw error;
        seen.refused += 1;
      }
    }
    // The race was one: it went every way but the wrong one.
    expect({ leaked: seen.leaked, isOneSided: isOneSided() }).toEqual({ leaked: 0, isOneSided: false });
  });

  test('devices: the number is that of the device whose name is judged', async () => {
    const folder = specFolder({ devices: ['./named:/dev/one'] });
    symlinkSync('/dev/null', join(folder, 'named'));
    symlinkSync('/dev/zero', join(folder, 'link'));
    await startSwapping(folder, 'named', 'link');
    const seen = new Map<string, number>();
    for (let attempt = 0; attempt < 800 || (seen.size < 2 && attempt < 20_000); attempt++) {
      const [device] = loadSpec(join(folder, 'container.yaml'), { env: {}, home: '/root' }).spec.devices;
      const what = `${device?.source} ${device?.major}:${device?.minor}`;
      seen.set(what, (seen.get(what) ?? 0) + 1);
    }
    expect([...seen.keys()].toSorted()).toEqual(['/dev/null 1:3', '/dev/zero 1:5']);
  });
});

test('a folder of the host outside the project is not used as an image unless it is allowed', async () => {
  for (const image of ['/', { folder: '/etc' }]) {
    const { status, stderr } = await sh('true', { image });
    expect(status).toBe(125);
    expect(stderr).toMatch(/not allowed: the container is made from \/(etc)? ?of the host/u);
  }
});

test.skipIf(!isRoot || !hasBusybox)('an image that only root may read has to be allowed (needs root)', async () => {
  const folder = specFolder({});
  const store = tempFolder();
  const tree = tempFolder();
  const secret = join(store, 'secret.tar');
  execFileSync('tar', ['-C', tree, '-cf', secret, '.']);
  writeFileSync(join(folder, 'container.yaml'), `image: ${secret}\ncommand: [x]\n`);
  const { status, stderr } = await boxctl(['up'], callerOptions(self, folder));
  expect(status).toBe(125);
  expect(stderr).toContain(`--allow image=${secret}\n`);
  renameSync(secret, join(folder, 'own.tar'));
  writeFileSync(join(folder, 'container.yaml'), 'image: ./own.tar\ncommand: [x]\n');
  expect((await boxctl(['up'], callerOptions(self, folder))).stderr).not.toContain('not allowed');
});
