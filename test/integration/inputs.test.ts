/** The record of what a plan was made from, beside the system calls that are made for it. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, PROGRAM, run, type RunOptions } from '../support/boxctl.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { testUser } from '../support/user.ts';

interface Listed {
  readonly inputs: readonly {
    readonly kind: string;
    readonly path?: string;
    readonly name?: string;
    readonly leads?: string | null;
    readonly set?: boolean;
  }[];
  readonly gaps: readonly string[];
}

async function inputsOf(args: readonly string[], options: RunOptions = {}): Promise<Listed> {
  const { status, stdout, stderr } = await boxctl(['plan', '--inputs', '--json', ...args], options);
  expect({ status, stderr }).toMatchObject({ status: 0 });
  return JSON.parse(stdout) as Listed;
}

/** Calls that look at a path, and whose result a plan could depend on. */
const CALL =
  /^(?:\d+ +)?(?:openat2?|open|statx|newfstatat|stat|lstat|access|faccessat2?|readlink|readlinkat|statfs)\((.*)$/u;

/** The paths of a log of strace from the first call for the container file, before which Node starts. */
function pathsOf(log: string, file: string, cwd: string): readonly string[] {
  const lines = log.split('\n');
  const from = lines.findIndex((line) => line.includes(`"${file}"`));
  const found = lines.slice(from).flatMap((line) => {
    const rest = CALL.exec(line)?.[1];
    const path = rest === undefined ? undefined : /"((?:[^"\\]|\\.)*)"/u.exec(rest)?.[1];
    return path === undefined || path === '' ? [] : [resolve(cwd, path)];
  });
  return [...new Set(found)];
}

/** Read by Node or by boxctl to be able to run, and not for the plan. */
const OWN =
  /^\/proc\/self\/fd\/|^\/proc\/\d+\/(?:fd|task)|^\/(?:lib|lib64|usr\/lib)\/|\/dist\/|^\/etc\/(?:ld\.so|nsswitch|localtime)|^\/dev\/(?:null|tty)$/u;

function makeProject(): string {
  const folder = tempFolder({ open: true });
  mkdirSync(join(folder, 'data'));
  mkdirSync(join(folder, 'project/.git'), { recursive: true });
  writeFileSync(join(folder, 'project/.git/HEAD'), 'ref: refs/heads/main\n');
  writeFileSync(join(folder, 'project/.git/config'), '[core]\n\tbare = false\n');
  writeFileSync(join(folder, 'values.env'), 'A=1\nB=$INPUTS_B\n');
  symlinkSync('data', join(folder, 'link'));
  const profile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] };
  writeFileSync(join(folder, 'profile.json'), JSON.stringify(profile));
  writeFileSync(
    join(folder, 'container.yaml'),
    `image: {host_tools: [sh]}
command: [sh, -c, 'true']
env_file: ./values.env
environment: {C: '\${INPUTS_C:-none}'}
security_opt: ['seccomp:./profile.json']
volumes: ['./link:/data:ro', './project:/project']
`,
  );
  return folder;
}

const NAME = 'inputs-test:1';

/** With every kind of key that asks for something of the host. `image`: a name of the store, or an archive, which has a lock. */
async function makeFull(image: string, options: RunOptions): Promise<string> {
  const around = tempFolder({ open: true });
  const folder = join(around, 'project');
  for (const name of ['home', 'config/boxctl', 'project/data']) mkdirSync(join(around, name), { recursive: true });
  writeFileSync(join(around, 'config/boxctl/policy.yaml'), 'allow: [all]\n');
  writeFileSync(join(folder, 'secret'), 's\n');
  writeFileSync(join(folder, 'values.env'), 'A=1\n');
  writeFileSync(
    join(folder, 'container.yaml'),
    `name: named
image: ${image}
command: [sh]
user: "1000"
init: true
tmpfs: [/tmp]
hostname: named
devices: [/dev/zero:/dev/z]
group_add: ["50"]
env_file: ./values.env
volumes: [named:/named, './data:/data', '~:/x']
secrets: {s: {file: ./secret}, e: {environment: INPUTS_SECRET}}
configs: {c: {file: ./secret}}
`,
  );
  const owner = options.user;
  if (owner !== undefined) await run(['chown', '-R', `${owner.uid}:${owner.gid}`, around]);
  // So that the image is in the store.
  const commands = image === NAME ? [['image', 'import', busyboxRootfs(), NAME]] : [['lock'], ['up']];
  for (const words of commands) {
    const { status, stderr } = await boxctl(words, inProject(options, folder));
    if (status !== 0) throw new Error(stderr);
  }
  return folder;
}

const inProject = (options: RunOptions, folder: string): RunOptions => ({
  ...options,
  cwd: folder,
  env: {
    HOME: join(dirname(folder), 'home'),
    XDG_CONFIG_HOME: join(dirname(folder), 'config'),
    BOXCTL_STORE: join(dirname(folder), 'store'),
    INPUTS_SECRET: 'x',
  },
});

const callers = [undefined, testUser].filter((user, index) => index === 0 || user !== undefined);

describe('boxctl plan --inputs', () => {
  const PROJECTS: readonly (readonly [string, (options: RunOptions) => Promise<RunOptions>])[] = [
    ['an image of the host’s tools', (options) => Promise.resolve({ ...options, cwd: makeProject() })],
    ['a name of the store', async (options) => inProject(options, await makeFull(NAME, options))],
    ['an archive with a lock', async (options) => inProject(options, await makeFull(busyboxRootfs(), options))],
  ];
  const cases = PROJECTS.flatMap(([title, make]) =>
    callers.map((user) => [title, user?.name ?? 'the caller', make, user] as const),
  );

  test.each(cases)(
    'has every path that was looked at while the plan was made: %s, as %s',
    async (_title, _name, make, user) => {
      const options = await make(user === undefined ? {} : { user });
      const { cwd = '' } = options;
      const log = join(tempFolder({ open: true }), 'log');
      writeFileSync(log, '');
      if (user !== undefined) await run(['chmod', '666', log]);
      const listed = await inputsOf(['container.yaml'], options);
      const args = ['plan', 'container.yaml'];
      await run(['strace', '-qq', '-s', '4096', '-o', log, process.execPath, PROGRAM, ...args], options);
      // Of the table of mounts, the mount points that count are in the record.
      const known = new Set(['/proc/self/mountinfo', ...listed.inputs.flatMap(({ path }) => path ?? [])]);
      const looked = pathsOf(readFileSync(log, 'utf8'), join(cwd, 'container.yaml'), cwd).filter(
        (path) => !OWN.test(path),
      );
      expect(looked.length).toBeGreaterThan(50);
      // realpath(3) looks at each part of a path; the whole of it is in the record.
      const real = listed.inputs.flatMap(({ kind, path = '' }) => (kind === 'real' ? [path] : []));
      const isPart = (path: string): boolean =>
        real.some((one) => one === path || one.startsWith(path === '/' ? '/' : `${path}/`));
      expect(looked.filter((path) => !known.has(path) && !isPart(path))).toEqual([]);
    },
  );

  test('names variables that are looked up, and no value of them', async () => {
    const folder = makeProject();
    const { stdout } = await boxctl(['plan', '--inputs', '--json'], {
      cwd: folder,
      env: { INPUTS_B: 'marker-of-a-secret' },
    });
    expect(stdout).not.toContain('marker-of-a-secret');
    const { inputs } = JSON.parse(stdout) as Listed;
    const variable = (name: string): unknown =>
      inputs.find((input) => input.kind === 'variable' && input.name === name);
    expect(variable('INPUTS_B')).toMatchObject({ set: true });
    expect(variable('INPUTS_C')).toMatchObject({ set: false });
    const text = await boxctl(['plan', '--inputs'], { cwd: folder, env: { INPUTS_B: 'marker-of-a-secret' } });
    expect(text.stdout).toMatch(/\n {2}INPUTS_B +is set\n/u);
    expect(text.stdout).not.toContain('marker-of-a-secret');
  });

  test('has where links led, files that are not there, and those of boxctl itself', async () => {
    const folder = makeProject();
    const { inputs, gaps } = await inputsOf([], { cwd: folder });
    expect(inputs).toContainEqual({ kind: 'real', path: join(folder, 'link'), leads: join(folder, 'data') });
    expect(inputs).toContainEqual(
      expect.objectContaining({ path: join(folder, 'container.lock'), found: { error: 'ENOENT' } }),
    );
    expect(inputs).toContainEqual(expect.objectContaining({ path: join(dirname(PROGRAM), 'start.pack'), whole: true }));
    expect(inputs.filter(({ name }) => name?.startsWith('namespace.') === true)).toHaveLength(7);
    expect(gaps).toEqual([]);
  });

  test('says what the record cannot have', async () => {
    const folder = tempFolder();
    writeFileSync(
      join(folder, 'container.yaml'),
      'image: {host_tools: [sh]}\ncommand: [sh]\negress: [example.com]\nnetwork_mode: bridge\n',
    );
    const { gaps } = await inputsOf([], { cwd: folder });
    expect(gaps).toContainEqual(expect.stringContaining('network'));
    const script = 'echo "{image: {host_tools: [sh]}, command: [sh]}" | "$@"';
    const { stdout } = await run([
      'sh',
      '-c',
      script,
      'sh',
      process.execPath,
      PROGRAM,
      'plan',
      '--inputs',
      '/dev/stdin',
    ]);
    expect(stdout).toMatch(/\nnot in this list\n {2}\/dev\/stdin is not a file\n/u);
  });
});
