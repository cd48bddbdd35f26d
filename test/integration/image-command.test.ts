/** `boxctl image`, and files that name images: the store as a person sees it. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { boxctl, type Ended, type RunOptions } from '../support/boxctl.ts';
import { BUSYBOX, hasBusybox } from '../support/busybox.ts';
import { dockerArchive, idOf, ociArchive, ociFolder, type TestImage } from '../support/image-archives.ts';
import { tempFolder } from '../support/temp.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const needs = hasBusybox ? describe : describe.skip;

/** A layer with busybox as sh and sleep, one user, and a folder to work in. */
const base = (text = ''): Buffer =>
  archive(
    { name: 'bin/busybox', data: readFileSync(BUSYBOX), mode: 0o755 },
    ...['sh', 'sleep', 'id', 'cat', 'pwd', 'echo'].map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' })),
    { name: 'etc/passwd', data: 'root:x:0:0::/root:/bin/sh\napp:x:7:8::/home/app:/bin/sh\n' },
    { name: 'srv/', type: '5', mode: 0o755 },
    { name: 'note', data: text },
  );

interface Place {
  readonly folder: string;
  readonly store: string;
  write(name: string, data: Buffer | string): string;
  boxctl(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** Writes container.yaml and starts it. */
  up(spec: Readonly<Record<string, unknown>>, args?: readonly string[]): Promise<Ended>;
  /** What imports have under way, or have left. */
  unfinished(): readonly string[];
  layers(): readonly string[];
}

function place(store?: string): Place {
  const folder = tempFolder();
  const at = store ?? join(folder, 'store');
  const list = (name: string): readonly string[] => {
    try {
      return readdirSync(join(at, name));
    } catch {
      return [];
    }
  };
  const call = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
    boxctl(args, { cwd: folder, ...options, env: { BOXCTL_STORE: at, ...options.env } });
  return {
    folder,
    store: at,
    write(name, data) {
      writeFileSync(join(folder, name), data);
      return join(folder, name);
    },
    boxctl: call,
    up(spec, args = ['up']) {
      writeFileSync(join(folder, 'container.yaml'), stringify(spec));
      return call(args);
    },
    unfinished: () => list('tmp'),
    layers: () => list('layers'),
  };
}

const done = (stdout: unknown): object => ({ status: 0, stderr: '', stdout });
const text = (pattern: RegExp): unknown => expect.stringMatching(pattern);

needs('the store (needs busybox-static)', () => {
  test('keeps a copy that files use by name and by digest after the archive was removed', async () => {
    const at = place();
    at.write('base.tar', base('kept'));
    const imported = await at.boxctl(['image', 'import', 'base.tar', 'base:1', 'base']);
    expect(imported).toMatchObject(done(text(/^[0-9a-f]{64} base:1 base:latest\n$/u)));
    rmSync(join(at.folder, 'base.tar'));
    expect(await at.up({ image: 'base', command: ['cat', '/note'] })).toMatchObject(done('kept'));
    const digest = imported.stdout.slice(0, 12);
    expect(await at.up({ image: `sha256:${digest}`, command: ['cat', '/note'] })).toMatchObject(done('kept'));
  });

  test('lists a row for each name, and the same images as JSON', async () => {
    const at = place();
    const path = at.write('base.tar.gz', gzipSync(base()));
    expect(await at.boxctl(['image', 'ls'])).toMatchObject(done(text(/^NAME +DIGEST +SIZE[^\n]*\n$/u)));
    await at.boxctl(['image', 'import', 'base.tar.gz', 'b:2', 'a:1']);
    const { stdout } = await at.boxctl(['image', 'ls']);
    const lines = stdout.split('\n');
    expect(lines[1]).toMatch(/^a:1 +[0-9a-f]{12} +\d+(\.\d)? [kM]B +1 +\d+ s +(mounted|unpacked) +\/.*base\.tar\.gz$/u);
    expect(lines[2]).toMatch(/^b:2 /u);
    const column = (lines[0] ?? '').indexOf('DIGEST');
    expect(lines.slice(1, 3).map((line) => line.slice(column - 2, column))).toEqual(['  ', '  ']);
    const json = JSON.parse((await at.boxctl(['image', 'ls', '--json'])).stdout) as unknown;
    expect(json).toMatchObject([{ names: ['a:1', 'b:2'], layers: 1, source: path }]);
    expect(await at.boxctl(['image', 'ls', '--names'])).toMatchObject(done('a:1\nb:2\n'));
  });

  test('inspects the configuration of an image and the folders of its layers', async () => {
    const at = place();
    const image: TestImage = {
      layers: [base(), archive({ name: 'more', data: 'x' })],
      config: { Cmd: ['sh'], Env: ['A=b'], WorkingDir: '/srv', User: 'app', StopSignal: 'SIGQUIT' },
    };
    at.write('web.tar', dockerArchive(image));
    await at.boxctl(['image', 'import', 'web.tar', 'web:2']);
    const { stdout } = await at.boxctl(['image', 'inspect', 'web:2']);
    for (const line of [
      `digest +${idOf(image)}`,
      'names +web:2',
      'command +\\["sh"\\]',
      'environment +\\["A=b"\\]',
      'working_dir +"/srv"',
      'user +"app"',
      'stop_signal +"SIGQUIT"',
      `layer +${at.store}/layers/[0-9a-f]{64}/`,
      'skipped +0 .*',
    ]) {
      expect(stdout).toMatch(new RegExp(`^${line}`, 'mu'));
    }
    const json = JSON.parse((await at.boxctl(['image', 'inspect', '--json', 'web:2'])).stdout) as {
      imports: { layers: { folder: string }[] }[];
    };
    expect(json).toMatchObject({ digest: idOf(image), names: ['web:2'], defaults: { command: ['sh'], user: 'app' } });
    for (const { folder } of json.imports[0]?.layers ?? []) expect(readdirSync(folder)).not.toEqual([]);
  });

  test('removes a name, an image with its last name, and by digest an image with all its names', async () => {
    const at = place();
    at.write('base.tar', base());
    const { stdout } = await at.boxctl(['image', 'import', 'base.tar', 'a:1', 'a:2']);
    const digest = stdout.slice(0, 12);
    expect(await at.boxctl(['image', 'rm', 'a:1'])).toMatchObject(done('removed the name a:1\n'));
    expect(at.layers()).toHaveLength(1);
    expect(await at.boxctl(['image', 'tag', 'a:2', 'b'])).toMatchObject(done(''));
    expect(await at.boxctl(['image', 'rm', 'b', 'a:2'])).toMatchObject(
      done(`removed the name b:latest\nremoved a:2 ${digest}\n`),
    );
    expect(at.layers()).toEqual([]);
    await at.boxctl(['image', 'import', 'base.tar', 'a:1', 'a:2']);
    expect(await at.boxctl(['image', 'rm', digest])).toMatchObject(done(`removed ${digest} a:1 a:2\n`));
    expect(at.layers()).toEqual([]);
  });

  test('reports a name that it lacks with the nearest one, and removes the others that were named', async () => {
    const at = place();
    at.write('base.tar', base());
    await at.boxctl(['image', 'import', 'base.tar', 'debian:12']);
    expect(await at.boxctl(['image', 'rm', 'debain:12', 'zzz', 'debian:12'])).toMatchObject({
      status: 125,
      stderr:
        'boxctl: error: the store has no image "debain:12"\n' +
        '  did you mean `debian:12`? Otherwise, see what there is: boxctl image ls\n' +
        'boxctl: error: the store has no image "zzz"\n  see what there is: boxctl image ls\n',
      stdout: text(/^removed debian:12 [0-9a-f]{12}\n$/u),
    });
  });

  test('prunes images without a name or an archive, and says how many bytes that freed', async () => {
    const at = place();
    const path = at.write('base.tar.gz', gzipSync(base()));
    await at.boxctl(['image', 'import', path]);
    expect(await at.boxctl(['image', 'prune'])).toMatchObject(done('0 images removed, 0 B freed\n'));
    rmSync(path);
    expect(await at.boxctl(['image', 'prune'])).toMatchObject(
      done(text(/^removed [0-9a-f]{12}\n1 image removed, \d(\.\d)? MB freed\n$/u)),
    );
    at.write('base.tar', base());
    await at.boxctl(['image', 'import', 'base.tar', 'base']);
    expect(await at.boxctl(['image', 'prune', '--json'])).toMatchObject(done('{\n  "removed": [],\n  "bytes": 0\n}\n'));
    const all = JSON.parse((await at.boxctl(['image', 'prune', '--all', '--json'])).stdout) as { bytes: number };
    expect(all.bytes).toBeGreaterThan(100_000);
    expect(at.layers()).toEqual([]);
  });

  test('neither removes nor prunes an image that a container uses', async () => {
    const at = place();
    at.write('base.tar', base());
    await at.boxctl(['image', 'import', 'base.tar', 'base']);
    writeFileSync(
      join(at.folder, 'container.yaml'),
      stringify({ image: 'base', command: ['sh', '-c', 'echo up; read line; cat /note'], stdin_open: true }),
    );
    let finish: (input: string) => void = () => undefined;
    const stdin = new Promise<string>((resolve) => (finish = resolve));
    let running: () => void = () => undefined;
    const started = new Promise<void>((resolve) => (running = resolve));
    const container = at.boxctl(['up'], {
      held: true,
      stdin,
      onStart: (child) => void child.stdout?.once('data', () => running()),
    });
    await started;
    expect(await at.boxctl(['image', 'rm', 'base'])).toMatchObject({
      status: 125,
      stderr: text(/error: The image [0-9a-f]+ is in use by a container\n {2}wait for its end, or end it\n$/u),
    });
    expect(await at.boxctl(['image', 'prune', '--all'])).toMatchObject(done('0 images removed, 0 B freed\n'));
    expect(await at.boxctl(['image', 'ls', '--names'])).toMatchObject(done('base:latest\n'));
    finish('\n');
    expect(await container).toMatchObject({ status: 0, stdout: 'up\n' });
    expect(await at.boxctl(['image', 'rm', 'base'])).toMatchObject({ status: 0 });
  });
});

needs('importing (needs busybox-static)', () => {
  test('reads an archive from standard input', async () => {
    const at = place();
    const stdin = dockerArchive({ layers: [base('piped')], names: ['web:3'] });
    const { status, stdout } = await at.boxctl(['image', 'import', '-'], { stdin });
    expect({ status, stdout }).toEqual({ status: 0, stdout: text(/^[0-9a-f]{64} web:3\n$/u) });
    expect(await at.up({ image: 'web:3', command: ['cat', '/note'] })).toMatchObject(done('piped'));
    expect(at.unfinished()).toEqual([]);
  });

  test('ends with an error where standard input has more than the largest size', async () => {
    const at = place();
    const yes = spawn('yes');
    try {
      const stdin = new Promise<string>(() => undefined);
      const ended = await at.boxctl(['image', 'import', '--max-size', '10m', '-'], {
        stdin,
        onStart: (child) => void (child.stdin === null || yes.stdout.pipe(child.stdin)),
      });
      expect(ended).toMatchObject({ status: 125, stderr: text(/error: The archive has more data than an image may/u) });
      expect(at.unfinished()).toEqual([]);
    } finally {
      yes.kill('SIGKILL');
    }
  });

  test('copies an archive that was used in place before, also with its digest given', async () => {
    const at = place();
    const path = at.write('base.tar', base('copied'));
    const sha256 = createHash('sha256').update(base('copied')).digest('hex');
    expect(await at.up({ image: { tar: path, sha256 }, command: ['cat', '/note'] })).toMatchObject(done('copied'));
    expect(await at.boxctl(['image', 'import', path, '--sha256', sha256, 'copy'])).toMatchObject({ status: 0 });
    rmSync(path);
    expect(await at.up({ image: 'copy', command: ['cat', '/note'] })).toMatchObject(done('copied'));
  });

  test('refuses an archive with another digest than `--sha256`', async () => {
    const at = place();
    at.write('base.tar', base());
    const ended = await at.boxctl(['image', 'import', 'base.tar', '--sha256', '0'.repeat(64)]);
    expect(ended).toMatchObject({
      status: 125,
      stdout: '',
      stderr: text(/not the one that was asked for\n.*the file/u),
    });
    expect(at.layers()).toEqual([]);
  });

  test('needs `--image` where an archive has several images, and stores each by its own name', async () => {
    const at = place();
    const images = ['one', 'two'].map((name) => ({ layers: [base(name)], names: [`${name}:1`] }));
    at.write('all.tar', dockerArchive(...images));
    expect(await at.boxctl(['image', 'import', 'all.tar'])).toMatchObject({
      status: 125,
      stderr: text(/holds 2 images: one:1, two:1\n {2}import one of them: boxctl image import --image NAME FILE\n/u),
    });
    expect(await at.boxctl(['image', 'import', '--image', 'three:1', 'all.tar'])).toMatchObject({
      status: 125,
      stderr: text(/holds no image three:1\n {2}it holds one:1, two:1\n/u),
    });
    for (const name of ['one', 'two']) {
      const { status, stdout } = await at.boxctl(['image', 'import', '--image', `${name}:1`, 'all.tar']);
      expect({ status, stdout }).toEqual({ status: 0, stdout: text(new RegExp(`^[0-9a-f]{64} ${name}:1\n$`, 'u')) });
      expect(await at.up({ image: `${name}:1`, command: ['cat', '/note'] })).toMatchObject(done(name));
    }
  });

  test('makes the same image of an OCI image layout as a folder and as an archive', async () => {
    const at = place();
    const image = { layers: [base('oci'), archive({ name: '.wh.srv' })], config: { Cmd: ['cat', '/note'] } };
    mkdirSync(join(at.folder, 'layout'));
    ociFolder(join(at.folder, 'layout'), { ...image, names: ['12'] }, (layer) => gzipSync(layer));
    at.write(
      'layout.tar',
      ociArchive({ ...image, names: ['registry.example/oci:12'] }, (layer) => gzipSync(layer)),
    );
    // A tag alone is no name.
    expect(await at.boxctl(['image', 'import', 'layout'])).toMatchObject(done(`${idOf(image)}\n`));
    expect(await at.boxctl(['image', 'import', 'layout.tar'])).toMatchObject(
      done(`${idOf(image)} registry.example/oci:12\n`),
    );
    for (const name of ['./layout', 'layout.tar', 'registry.example/oci:12']) {
      expect(await at.up({ image: name })).toMatchObject(done('oci'));
    }
  });

  test('says how to use a folder that is not an OCI image layout', async () => {
    const at = place();
    mkdirSync(join(at.folder, 'rootfs/etc'), { recursive: true });
    expect(await at.boxctl(['image', 'import', 'rootfs', 'a'])).toMatchObject({
      status: 125,
      stderr: text(/rootfs is a folder, and no OCI image layout\n.*\{folder: rootfs\}.*\n {2}tar -C rootfs /u),
    });
  });

  test('warns of attributes that are left out at the first import alone', async () => {
    const at = place();
    at.write('base.tar', archive({ name: 'note', data: 'x', pax: { 'SCHILY.xattr.trusted.overlay.opaque': 'y' } }));
    const said = /^boxctl: warning: base\.tar: 1 device or attribute is left out\n$/u;
    expect(await at.boxctl(['image', 'import', 'base.tar', 'a'])).toMatchObject({ status: 0, stderr: text(said) });
    expect(await at.boxctl(['image', 'import', 'base.tar', 'a'])).toMatchObject({ status: 0, stderr: '' });
  });
});

needs('the configuration of an image (needs busybox-static)', () => {
  const IMAGE: TestImage = {
    layers: [base()],
    config: {
      Entrypoint: ['/bin/sh', '-c'],
      Cmd: ['echo "$A $B $(id -u) $(pwd)"'],
      Env: ['A=image', 'B=image'],
      WorkingDir: '/srv',
      User: 'app',
    },
  };
  const run = async (spec: Readonly<Record<string, unknown>>, args: readonly string[] = ['up']): Promise<string> => {
    const at = place();
    at.write('web.tar', dockerArchive(IMAGE));
    const { stdout, stderr, status } = await at.up({ image: 'web.tar', ...spec }, args);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    return stdout.trim();
  };

  test('applies where the file says nothing', async () => {
    expect(await run({})).toBe('image image 7 /srv');
  });

  test.each<[what: string, spec: Readonly<Record<string, unknown>>, expected: string]>([
    ['`command`: the entrypoint of the image gets it', { command: ['echo mine $$A'] }, 'mine image'],
    ['`entrypoint`: the command of the image is dropped', { entrypoint: ['echo', 'only'] }, 'only'],
    ['an empty `entrypoint`: there is none', { entrypoint: [], command: ['echo', 'bare'] }, 'bare'],
    ['`entrypoint` and `command`: both are used', { entrypoint: ['echo'], command: ['both'] }, 'both'],
    ['`environment`: only the same variables', { environment: { B: 'file' } }, 'image file 7 /srv'],
    ['`user`', { user: '0' }, 'image image 0 /srv'],
    ['`working_dir`', { working_dir: '/bin' }, 'image image 7 /bin'],
  ])('is overridden by %s', async (_, spec, expected) => {
    expect(await run(spec)).toBe(expected);
  });

  test('is overridden by the command of `boxctl run`, which the entrypoint gets', async () => {
    expect(await run({}, ['run', '--', 'echo run $B'])).toBe('run image');
  });

  test('may name a working directory that the image lacks: it is made', async () => {
    const at = place();
    const config = { Cmd: ['pwd'], WorkingDir: '/new/folder' };
    at.write('web.tar', dockerArchive({ layers: [base()], config }));
    expect(await at.up({ image: 'web.tar' })).toMatchObject(done('/new/folder\n'));
  });

  test('has the stop signal that the command gets at `limits.time`', async () => {
    const at = place();
    const script = 'trap "echo quit; exit 0" QUIT; echo ready; while :; do sleep 0.1; done';
    const config = { Cmd: ['sh', '-c', script], StopSignal: 'SIGQUIT' };
    at.write('web.tar', dockerArchive({ layers: [base()], config }));
    const { stdout, status } = await at.up({ image: 'web.tar', limits: { time: '1s' } });
    expect({ stdout, status }).toEqual({ stdout: 'ready\nquit\n', status: 124 });
  });
});

test('a name that the store lacks and that must not be pulled is an error at its line, with the nearest one', async () => {
  const at = place();
  at.write('a.tar', archive({ name: 'a', data: 'a' }));
  await at.boxctl(['image', 'import', 'a.tar', 'debian:12']);
  const file = 'command: [sh]\nimage: debian:13\n';
  writeFileSync(join(at.folder, 'container.yaml'), `${file}pull_policy: never\n`);
  const expected = `\
container.yaml:2:8: error: the store has no image "debian:13"
   |
 2 | image: debian:13
   |        ^^^^^^^^^
   = help: did you mean \`debian:12\`? Otherwise, \`pull_policy: never\` keeps it from being pulled; boxctl image pull debian:13 does it once
`;
  for (const command of ['up', 'plan']) {
    expect(await at.boxctl([command])).toMatchObject({ status: 125, stderr: expected });
  }
  expect(await at.boxctl(['validate'])).toMatchObject({ status: 1, stderr: expected });
  writeFileSync(join(at.folder, 'container.yaml'), 'command: [sh]\nimage: {ref: "sha256:00000000"}\n');
  const digits = (await at.boxctl(['up'])).stderr;
  expect(digits).toContain('container.yaml:2:14: error: the store has no image "sha256:00000000"');
});

test('a name that the store lacks and that its registry does not give is an error with the nearest one of the store', async () => {
  const at = place();
  at.write('a.tar', archive({ name: 'a', data: 'a' }));
  await at.boxctl(['image', 'import', 'a.tar', 'debian:12']);
  writeFileSync(join(at.folder, 'container.yaml'), 'command: [sh]\nimage: debian:13\n');
  const { stderr } = await at.boxctl(['up']);
  expect(stderr).toContain('container.yaml:2:8: error: docker.io/library/debian');
  expect(stderr).toContain('did you mean `debian:12`, which the store has?');
});
