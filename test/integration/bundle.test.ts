/** A bundle is held against the runtimes that it is written for. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gatherHostFacts } from '../../src/host/gather.ts';
import type { HostFacts } from '../../src/host/facts.ts';
import type { ImageFacts } from '../../src/model/image.ts';
import { writeBundle } from '../../src/container/bundle.ts';
import { compile } from '../../src/model/compile.ts';
import type { OciConfig } from '../../src/oci/config.ts';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox, makeBusyboxTree } from '../support/busybox.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { testDocument, type DocumentOptions } from '../support/document.ts';
import { tempFolder } from '../support/temp.ts';

const isRoot = process.geteuid?.() === 0;
const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const canRun = isRoot && hasBusybox;

let folder = '';
let rootfs = '';
let counter = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'boxctl-bundle-'));
  // The container's root, nobody out here, has to come to its files.
  chmodSync(folder, 0o711);
  rootfs = join(folder, 'image');
  if (!hasBusybox) return;
  makeBusyboxTree(rootfs);
  for (const name of ['proc', 'sys', 'dev', 'etc', 'home', 'tmp']) mkdirSync(join(rootfs, name));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** With a store of its own. */
function host(): HostFacts {
  const facts = gatherHostFacts(process.env);
  const store = join(folder, 'store');
  mkdirSync(join(store, 'mnt'), { recursive: true });
  return { ...facts, dirs: { ...facts.dirs, store } };
}

function image(): ImageFacts {
  return {
    digest: '0'.repeat(64),
    record: '',
    layers: [{ kind: 'tree', path: rootfs }],
    ownership: undefined,
    passwd: 'root:x:0:0::/root:/bin/sh\nbuilder:x:1000:1000::/home:/bin/sh\n',
    group: '',
    shell: '/bin/sh',
    defaults: {},
  };
}

async function bundle(options: DocumentOptions): Promise<{ readonly dir: string; readonly config: OciConfig }> {
  counter += 1;
  const dir = join(folder, `bundle-${counter}`);
  const model = compile(testDocument(options), image(), host());
  await writeBundle(model, image(), host(), dir);
  return { dir, config: JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as OciConfig };
}

/** All pipes: crun gives the container's root what it has as streams, and that may be the host's /dev/null. */
const STREAMS = { encoding: 'utf8', stdio: 'pipe' } as const;

/** Debian 12's runc does not know the time namespace yet. */
const WITHOUT_TIME = { time: { kind: 'host' } } as const;
const SCRIPT = [
  'echo "hostname $(hostname)"',
  'echo "uid $(id -u) gid $(id -g)"',
  'echo "map" $(cat /proc/self/uid_map)',
  'echo "pid $$"',
  'echo "cwd $(pwd) HOME $HOME CI $CI"',
  'grep -E "^(CapInh|CapPrm|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status | tr "\\t" " "',
  'echo "owner $(stat -c %u:%g /bin/busybox)"',
  'touch /written 2>/dev/null && echo writable',
  'unshare -U true 2>/dev/null || echo "no user namespace"',
].join('\n');

function seen(output: string): Record<string, string> {
  return Object.fromEntries(
    output
      .trim()
      .split('\n')
      .map((line) => [line.split(/[ :]/u, 1)[0] ?? '', line]),
  );
}

describe.skipIf(!canRun)('a bundle of root’s (needs root and busybox-static)', () => {
  it('leaves out device nodes, which nobody makes in a user namespace, and says how many', async () => {
    const node = join(rootfs, 'dev/extra');
    execFileSync('mknod', [node, 'c', '1', '3']);
    linkSync(node, join(rootfs, 'dev/again'));
    try {
      const dir = join(folder, 'with-devices');
      const model = compile(testDocument({ command: ['sh'] }), image(), host());
      expect(await writeBundle(model, image(), host(), dir)).toEqual({ devices: 2, differs: [] });
      expect(existsSync(join(dir, 'rootfs/bin/busybox'))).toBe(true);
      expect(readdirSync(join(dir, 'rootfs/dev'))).toEqual([]);
    } finally {
      rmSync(node);
      rmSync(join(rootfs, 'dev/again'));
    }
  });

  it('names the keys of its file that another runtime does nothing for, and those alone', async () => {
    const keys = {
      init: true,
      socket_activation: true,
      restart: 'always',
      healthcheck: { test: 'true' },
      post_start: [{ command: 'true' }],
      pre_stop: [{ command: 'true' }],
      stop_signal: 'SIGINT',
      stop_grace_period: '3s',
      limits: { time: '5s' },
      logging: { driver: 'none' },
      labels: { tier: 'front' },
      writable: 'tmpfs',
      seccomp: 'log',
      pid: 'host',
    };
    const told = async (own: object): Promise<string> => {
      const out = join(tempFolder(), 'out');
      const dir = specFolder({ command: ['sh'], ...own }, self);
      const { status, stderr } = await boxctl(
        ['bundle', '--allow', 'all', 'container.yaml', out],
        callerOptions(self, dir),
      );
      expect(status, stderr).toBe(0);
      return stderr;
    };
    const names = Object.keys(keys).map((key) => (key === 'limits' ? 'limits.time' : key === 'pid' ? 'landlock' : key));
    expect(await told(keys)).toContain(`nothing is done for ${names.map((name) => `\`${name}\``).join(', ')}`);
    for (const [key, value] of Object.entries(keys)) {
      const name = key === 'limits' ? 'limits.time' : key === 'pid' ? 'landlock' : key;
      expect(await told({ [key]: value }), key).toContain(`nothing is done for \`${name}\`\n`);
    }
    expect(await told({})).toBe('');
  }, 120_000);

  it('that cannot be written leaves nothing behind', async () => {
    const broken: ImageFacts = { ...image(), layers: [{ kind: 'tree', path: join(folder, 'not-there') }] };
    const model = compile(testDocument({ command: ['sh'] }), image(), host());
    const [made, given] = [join(folder, 'made'), join(folder, 'given')];
    mkdirSync(given);
    for (const dir of [made, given]) await expect(writeBundle(model, broken, host(), dir)).rejects.toThrow();
    expect(existsSync(made)).toBe(false);
    expect(readdirSync(given)).toEqual([]);
  });
});

describe.skipIf(!canRun || !has('runc'))('runc runs the bundle (needs root, busybox-static and runc)', () => {
  const run = (dir: string): string => {
    counter += 1;
    const id = `boxctl-test-${process.pid}-${counter}`;
    return execFileSync('runc', ['--root', join(folder, 'runc'), 'run', '--bundle', dir, id], STREAMS);
  };

  it('shows its process what the specification says', async () => {
    const { dir, config } = await bundle({
      hostname: 'inside',
      command: ['sh', '-c', SCRIPT],
      workingDir: '/tmp',
      environment: { CI: '1' },
      namespaces: WITHOUT_TIME,
    });
    const [map] = config.linux.uidMappings ?? [];
    expect(seen(run(dir))).toMatchObject({
      hostname: 'hostname inside',
      uid: 'uid 0 gid 0',
      map: `map 0 ${map?.hostID} ${map?.size}`,
      pid: 'pid 1',
      cwd: 'cwd /tmp HOME /root CI 1',
      CapInh: 'CapInh: 0000000000000000',
      CapBnd: 'CapBnd: 00000000a80425fb',
      CapPrm: 'CapPrm: 00000000a80425fb',
      NoNewPrivs: 'NoNewPrivs: 1',
      Seccomp: 'Seccomp: 2',
      owner: 'owner 0:0',
      writable: 'writable',
      no: 'no user namespace',
    });
    expect(existsSync(join(rootfs, 'written'))).toBe(false);
  });

  it('has its names, an entry and a home for its user, and what the host runs by itself is read-only', async () => {
    const project = join(folder, 'project');
    mkdirSync(join(project, '.git'), { recursive: true });
    writeFileSync(join(project, '.git/config'), '');
    execFileSync('chmod', ['-R', 'a+rwX', project]);
    const made = { what: 'file', text: '.\n', temporary: true, uid: 0, gid: 0 } as const;
    const script = `cat /etc/hosts /etc/hostname; grep 2000 /etc/passwd; touch ~/x && echo home;
      touch /w/new && echo new; echo x >/w/.git/config || echo refused; mv /w/.git /w/other || echo stays`;
    const options: DocumentOptions = {
      user: { user: 2000, group: 2000 },
      hostname: 'inside',
      command: ['sh', '-c', script],
      namespaces: WITHOUT_TIME,
      volumes: [
        {
          type: 'bind',
          source: project,
          target: '/w',
          specPath: 'volumes.0',
          readOnly: false,
          recursive: true,
          flags: [],
          propagation: 'rprivate',
          isFile: false,
          create: [],
          guards: [
            { path: '.git', writable: true },
            { path: '.git/config', writable: false },
            { path: '.git/commondir', writable: false, make: made },
          ],
        } as unknown as NonNullable<DocumentOptions['volumes']>[number],
      ],
    };
    const dir = join(folder, 'with-parts');
    const { differs } = await writeBundle(compile(testDocument(options), image(), host()), image(), host(), dir);
    expect(differs).toEqual([
      `the container can make ${project}/.git/commondir, which the host believes`,
      '/home/user is in memory',
    ]);
    const output = run(dir);
    expect(output).toContain('127.0.0.1\tlocalhost\n');
    expect(output).toContain('127.0.0.1\tinside\n');
    expect(output).toContain('\ninside\nuser:*:2000:2000::/home/user:/bin/sh\nhome\nnew\nrefused\nstays\n');
    expect(readFileSync(join(project, '.git/config'), 'utf8')).toBe('');
  });

  it('runs as a user of the image, without capabilities', async () => {
    const { dir } = await bundle({
      user: { user: 'builder' },
      command: ['sh', '-c', SCRIPT],
      namespaces: WITHOUT_TIME,
    });
    expect(seen(run(dir))).toMatchObject({
      uid: 'uid 1000 gid 1000',
      cwd: 'cwd / HOME /home CI ',
      CapPrm: 'CapPrm: 0000000000000000',
    });
  });

  it('runs with the host’s user namespace and a read-only root', async () => {
    const { dir } = await bundle({
      command: ['sh', '-c', `${SCRIPT}; true`],
      readOnly: true,
      namespaces: { ...WITHOUT_TIME, user: { kind: 'host' } },
    });
    const result = seen(run(dir));
    expect(result).toMatchObject({ map: 'map 0 0 4294967295', uid: 'uid 0 gid 0', owner: 'owner 0:0' });
    expect(result).not.toHaveProperty('writable');
  });
});

describe.skipIf(!canRun || !has('crun'))('crun runs the bundle (needs root, busybox-static and crun)', () => {
  it('shows its process what the specification says', async () => {
    const { dir, config } = await bundle({
      hostname: 'inside',
      command: ['sh', '-c', SCRIPT],
      environment: { CI: '1' },
      namespaces: WITHOUT_TIME,
    });
    // Debian's crun wants version 2 of cgroups alone: it gets to see that, in a mount namespace of its own.
    const { resources: _, ...linux } = config.linux;
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, linux }));
    counter += 1;
    const id = `boxctl-test-${process.pid}-${counter}`;
    const script = 'mount -t cgroup2 none /sys/fs/cgroup && exec crun --root "$1" run --bundle "$2" "$3"';
    const args = ['-m', 'sh', '-c', script, 'sh', join(folder, 'crun'), dir, id];
    const [map] = config.linux.uidMappings ?? [];
    expect(seen(execFileSync('unshare', args, STREAMS))).toMatchObject({
      hostname: 'hostname inside',
      uid: 'uid 0 gid 0',
      map: `map 0 ${map?.hostID} ${map?.size}`,
      pid: 'pid 1',
      CapPrm: 'CapPrm: 00000000a80425fb',
      NoNewPrivs: 'NoNewPrivs: 1',
      Seccomp: 'Seccomp: 2',
      owner: 'owner 0:0',
      no: 'no user namespace',
    });
  });
});

describe.skipIf(!canRun)('writeBundle (needs root and busybox-static)', () => {
  it('refers to nothing outside of its folder', async () => {
    const { config } = await bundle({ command: ['true'] });
    expect(config.root).toEqual({ path: 'rootfs', readonly: false });
  });

  it('moves owners through the maps, keeps modes, and follows no link', async () => {
    const canary = join(folder, 'canary');
    mkdirSync(canary, { mode: 0o700 });
    const file = join(rootfs, 'etc/owned');
    execFileSync('cp', [join(rootfs, 'bin/busybox'), file]);
    chownSync(file, 33, 34);
    chmodSync(file, 0o6755);
    symlinkSync(canary, join(rootfs, 'etc/link'));
    const { dir } = await bundle({ command: ['true'], uidMap: [{ container: 0, host: 700_000, size: 1000 }] });
    expect(lstatSync(join(dir, 'rootfs/etc/owned'))).toMatchObject({ uid: 700_033, gid: 700_034, mode: 0o106755 });
    expect(lstatSync(join(dir, 'rootfs/etc/link'))).toMatchObject({ uid: 700_000, gid: 700_000 });
    expect(lstatSync(canary)).toMatchObject({ uid: 0, gid: 0, mode: 0o040700 });
    expect(lstatSync(file)).toMatchObject({ uid: 33, gid: 34 });
    rmSync(file);
    rmSync(join(rootfs, 'etc/link'));
  });

  it('refuses a file that the maps have no owner for', async () => {
    const file = join(rootfs, 'etc/foreign');
    execFileSync('cp', [join(rootfs, 'bin/busybox'), file]);
    chownSync(file, 5000, 0);
    const write = bundle({ command: ['true'], uidMap: [{ container: 0, host: 700_000, size: 1000 }] });
    await expect(write).rejects.toMatchObject({ code: 'E_IMAGE_COPY' });
    rmSync(file);
  });

  it('refuses a folder that is not empty', async () => {
    const { dir } = await bundle({ command: ['true'] });
    const model = compile(testDocument({ command: ['true'] }), image(), host());
    await expect(writeBundle(model, image(), host(), dir)).rejects.toMatchObject({ code: 'E_BUNDLE_NOT_EMPTY' });
    await expect(writeBundle(model, image(), host(), join(dir, 'config.json'))).rejects.toMatchObject({
      code: 'E_BUNDLE_NOT_A_FOLDER',
    });
  });
});
