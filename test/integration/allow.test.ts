/** `boxctl allow`: a yes that is remembered for one file, until it asks for more. */
import { chownSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, ownedFolder, self, specFolder, type Caller } from '../support/container.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, testUser } from '../support/user.ts';
import { whenSeen } from '../support/when-seen.ts';

interface Place {
  readonly folder: string;
  /** A folder of the host, outside of the file's own. */
  readonly outside: string;
  readonly config: string;
  write(spec: Readonly<Record<string, unknown>>): void;
  boxctl(...words: readonly string[]): Promise<Ended>;
}

function place(caller: Caller, spec: Readonly<Record<string, unknown>> = {}): Place {
  const base = tempFolder({ open: true });
  const folder = specFolder({ command: ['true'], ...spec }, caller);
  const outside = ownedFolder(caller, 'outside', base);
  const config = ownedFolder(caller, 'config', base);
  writeFileSync(join(outside, 'file'), 'of the host\n');
  return {
    folder,
    outside,
    config,
    write: (changed) =>
      writeFileSync(
        join(folder, 'container.yaml'),
        stringify({ name: 'test', image: busyboxRootfs(), ...caller.keys, ...changed }),
      ),
    boxctl: (...words) => boxctl(words, callerOptions(caller, folder, { env: { XDG_CONFIG_HOME: config } })),
  };
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('boxctl allow asks only for demands that were not agreed to before', async () => {
    const at = place(caller);
    const less = { command: ['cat', '/host/file'], volumes: [`${at.outside}:/host:ro`] };
    at.write({ ...less, namespaces: { net: 'host' } });
    const refused = await at.boxctl('up');
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain('not again until it asks for more: boxctl allow container.yaml\n');

    const asked = await at.boxctl('allow', '--yes');
    expect(asked).toMatchObject({ status: 0, stderr: '' });
    expect(asked.stdout).toContain(`+ the container reads ${at.outside} of the host, as /host\n`);
    expect(asked.stdout).toContain('--allow namespace=net\n');
    for (const words of [['up'], ['run', '--', 'cat', '/host/file']]) {
      expect(await at.boxctl(...words)).toMatchObject({ status: 0, stdout: 'of the host\n' });
    }
    const { stdout: plan } = await at.boxctl('plan');
    expect(plan).toContain('\nwhat is allowed for good\n  --allow namespace=net');
    expect(plan).not.toContain('needs --allow');

    at.write(less);
    expect(await at.boxctl('up')).toMatchObject({ status: 0, stdout: 'of the host\n' });
    at.write({ ...less, cap_add: ['SYS_TIME'] });
    const more = await at.boxctl('up');
    expect(more).toMatchObject({ status: 125, stdout: '' });
    expect(more.stderr.match(/not allowed: /gu)).toHaveLength(1);
    expect(more.stderr).toContain('CAP_SYS_TIME');
    const again = await at.boxctl('allow');
    expect(again).toMatchObject({
      status: 125,
      stderr: expect.stringContaining('boxctl allow --yes container.yaml') as string,
    });
    expect(again.stdout).toMatch(/^ {2}\+ .*CAP_SYS_TIME$/mu);
    expect(again.stdout).toMatch(/^ {4}the container reads /mu);
    expect(await at.boxctl('up')).toMatchObject({ status: 125 });
  });

  test('boxctl allow lists what is remembered as a table and as JSON, and revokes it', async () => {
    const at = place(caller, { namespaces: { net: 'host' } });
    const file = join(at.folder, 'container.yaml');
    await at.boxctl('allow', '--yes');
    expect((await at.boxctl('allow', '--list')).stdout).toMatch(
      /^FILE +ALLOWED\n\S+\/container\.yaml +namespace=net\n$/u,
    );
    const { stdout } = await at.boxctl('allow', '--list', '--json');
    expect(JSON.parse(stdout)).toEqual([{ file, allow: ['namespace=net'] }]);
    expect(await at.boxctl('allow', '--revoke')).toMatchObject({ status: 0, stderr: '' });
    expect(await at.boxctl('up')).toMatchObject({ status: 125 });
    expect(await at.boxctl('allow', '--revoke')).toMatchObject({ status: 125 });
  });

  test('what is remembered holds for the file in its folder, and not for a copy of it elsewhere', async () => {
    const at = place(caller, { namespaces: { net: 'host' } });
    await at.boxctl('allow', '--yes');
    const other = place(caller, { namespaces: { net: 'host' } });
    const options = callerOptions(caller, other.folder, { env: { XDG_CONFIG_HOME: at.config } });
    expect(await boxctl(['up'], options)).toMatchObject({ status: 125 });
    const link = join(tempFolder({ open: true }), 'link');
    symlinkSync(at.folder, link);
    expect(await boxctl(['up', join(link, 'container.yaml')], options)).toMatchObject({ status: 0 });
    rmSync(link);
    symlinkSync(other.folder, link);
    expect(await boxctl(['up', join(link, 'container.yaml')], options)).toMatchObject({ status: 125 });
    renameSync(join(at.folder, 'container.yaml'), join(at.folder, 'other.yaml'));
    expect(await at.boxctl('up', 'other.yaml')).toMatchObject({ status: 125 });
  });
});

describe.skipIf(!hasBusybox)('on a terminal (needs busybox-static)', () => {
  const answered = async (at: Place, answer: string, during?: () => void): Promise<string> => {
    const command = `'${process.execPath}' '${PROGRAM}' allow`;
    const env = { XDG_CONFIG_HOME: at.config, TERM: 'xterm', NO_COLOR: '1' };
    let give: (answer: string) => void = () => undefined;
    const stdin = new Promise<string>((resolve) => (give = resolve));
    const onStart = whenSeen('[y/N] ', () => {
      during?.();
      give(answer);
    });
    const { stdout } = await run(
      ['script', '-qec', command, '/dev/null'],
      callerOptions(self, at.folder, { env, stdin, onStart }),
    );
    return stdout;
  };

  test('an answer other than yes allows nothing', async () => {
    const at = place(self, { namespaces: { net: 'host' } });
    expect(await answered(at, '\n')).toMatch(/until it asks for more\? \[y\/N\] [^]*nothing was changed/u);
    expect(await at.boxctl('up')).toMatchObject({ status: 125 });
    expect(await answered(at, 'y\n')).toContain('allowed; to take it back: boxctl allow --revoke container.yaml');
    expect(await at.boxctl('up')).toMatchObject({ status: 0 });
  });

  test('a file that is changed while the question is open is allowed only the demands that were shown', async () => {
    const at = place(self, { namespaces: { net: 'host' } });
    const text = await answered(at, 'y\n', () =>
      at.write({ command: ['true'], namespaces: { net: 'host', ipc: 'host' } }),
    );
    expect(text).toContain('allowed; to take it back');
    const { status, stderr } = await at.boxctl('up');
    expect(status).toBe(125);
    expect(stderr.match(/not allowed: .*/gu)).toEqual([expect.stringContaining('namespace ipc')]);
  });
});

describe.skipIf(!hasBusybox)(
  'a record that a project could have written is not believed (needs busybox-static)',
  () => {
    test('records in the folder of the file are refused', async () => {
      const at = place(self, { namespaces: { net: 'host' } });
      const own = callerOptions(self, at.folder, { env: { XDG_CONFIG_HOME: join(at.folder, 'config') } });
      mkdirSync(join(at.folder, 'config'), { mode: 0o700 });
      const { status, stderr } = await boxctl(['allow', '--yes'], own);
      expect({ status, stderr }).toMatchObject({
        status: 125,
        stderr: expect.stringContaining('which a container can write to') as string,
      });
      // Records that were made elsewhere, and carried there.
      await at.boxctl('allow', '--yes');
      renameSync(join(at.config, 'boxctl'), join(at.folder, 'config/boxctl'));
      const refused = await boxctl(['up'], own);
      expect(refused).toMatchObject({ status: 125, stdout: '' });
      expect(refused.stderr).toContain('note: records of what was allowed are not used');
    });

    test.skipIf(!isRoot || testUser === undefined)(
      'root with a user’s HOME does not believe that user’s records',
      async () => {
        const user = callers.find((caller) => caller.user !== undefined) ?? self;
        const at = place(user, { namespaces: { net: 'host' } });
        expect(await at.boxctl('allow', '--yes')).toMatchObject({ status: 0 });
        const asRoot = callerOptions(self, at.folder, { env: { XDG_CONFIG_HOME: at.config } });
        expect(await boxctl(['up'], asRoot)).toMatchObject({ status: 125, stdout: '' });
        expect(await boxctl(['allow', '--yes'], asRoot)).toMatchObject({ status: 125 });
        // Not even where the folder was root's before: what is in it is the user's.
        chownSync(join(at.config, 'boxctl/allowed'), 0, 0);
        chownSync(join(at.config, 'boxctl'), 0, 0);
        chownSync(at.config, 0, 0);
        expect(await boxctl(['up'], asRoot)).toMatchObject({ status: 125, stdout: '' });
      },
    );
  },
);

test('boxctl allow does not ask about a file without demands', async () => {
  const at = place(self);
  expect(await at.boxctl('allow')).toMatchObject({
    status: 0,
    stdout: 'container.yaml asks for nothing that would have to be allowed\n',
    stderr: '',
  });
  expect((await at.boxctl('allow', '--list', '--json')).stdout).toBe('[]\n');
});
