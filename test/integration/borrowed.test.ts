/** What the caller's environment and files of the host hold is in the output of no command, before and after it is allowed. */
import { chmodSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';

const MARKER = 'zq7-marker-of-the-caller';
const ENV = { MARKER, MY_TOKEN: `${MARKER}-token`, PROXY: `http://me:${MARKER}@proxy:3128` };

/** A file of the host that is full of secrets, outside of every project. */
function secretFile(name: string, text: string): string {
  const file = join(tempFolder(), name);
  writeFileSync(file, text);
  chmodSync(file, 0o600);
  return file;
}

const COMMANDS = [
  ['validate'],
  ['validate', '--json'],
  ['plan'],
  ['plan', '--json'],
  ['audit'],
  ['audit', '--json'],
  ['diff', 'container.yaml', 'other.yaml'],
  ['diff', '--json', 'container.yaml', 'other.yaml'],
  ['up'],
  ['up', '--json'],
  ['up', '--verbose'],
  ['bundle', 'container.yaml', 'made'],
] as const;

function project(spec: Readonly<Record<string, unknown>>): string {
  const folder = specFolder({ command: ['true'], ...spec });
  writeFileSync(join(folder, 'other.yaml'), 'image: {host_tools: [sh]}\n');
  return folder;
}

describe.skipIf(!hasBusybox)('borrowed values (needs busybox-static)', () => {
  test.each([
    ['a variable where a number is wanted', { ulimits: { core: '${MARKER}' } }],
    ['a variable in the message of another', { hostname: '${NOPE:?${MARKER}}' }],
    ['variables of the container', { environment: { A: '${MARKER}', MY_TOKEN: null, PROXY: null } }],
    ['a variable in a command that is not there', { command: ['/${MARKER}'] }],
    ['a variable in a source that must be allowed', { volumes: ['/tmp/${MARKER}:/x'] }],
    ['a variable in the name of an image', { image: '${MARKER}:1' }],
  ])('no command prints the value of %s', async (_, spec) => {
    const cwd = project(spec);
    for (const command of COMMANDS) {
      const { stdout, stderr } = await boxctl(command, callerOptions(self, cwd, { env: ENV }));
      expect({ command, told: (stdout + stderr).includes(MARKER) }).toEqual({ command, told: false });
    }
  });

  test.each([
    ['env_file', `${MARKER}\nKEY=${MARKER}\n-----BEGIN ${MARKER}\n`],
    ['seccomp', `${MARKER} is no JSON`],
  ])('no command prints the text of a file of the host that `%s` names', async (key, text) => {
    const cwd = project({ [key]: secretFile('secret.json', text) });
    for (const command of COMMANDS) {
      const { stdout, stderr } = await boxctl(command, callerOptions(self, cwd));
      expect({ command, told: (stdout + stderr).includes(MARKER) }).toEqual({ command, told: false });
    }
    // Allowed, it is read; and still not printed.
    const allowed = await boxctl(['up', '--allow', 'all'], callerOptions(self, cwd));
    expect(allowed.status).toBe(125);
    expect(allowed.stderr).not.toContain(MARKER);
  });

  test('the text of a file that container.yaml is a link to is not printed', async () => {
    const cwd = tempFolder();
    symlinkSync(secretFile('shadow', `${MARKER}:x:\n`), join(cwd, 'container.yaml'));
    writeFileSync(join(cwd, 'other.yaml'), 'image: {host_tools: [sh]}\n');
    for (const command of COMMANDS) {
      const { stdout, stderr, status } = await boxctl(command, callerOptions(self, cwd));
      const code = command[0] === 'validate' ? 1 : 125;
      expect({ command, status, told: (stdout + stderr).includes(MARKER) }).toEqual({
        command,
        status: code,
        told: false,
      });
    }
  });

  test('the command gets the value itself', async () => {
    const cwd = project({
      command: ['sh', '-c', 'echo $$A $$B'],
      environment: { A: '${MARKER}' },
      env_file: './own.env',
    });
    writeFileSync(join(cwd, 'own.env'), 'B="two\nlines of $A"\n');
    const { stdout } = await boxctl(['up'], callerOptions(self, cwd, { env: ENV }));
    expect(stdout).toBe(`${MARKER} two lines of ${MARKER}\n`);
  });

  test('plan and diff with --show-values print borrowed values', async () => {
    const cwd = project({ environment: { A: '${MARKER}' } });
    for (const command of [
      ['plan', '--show-values'],
      ['diff', '--show-values', 'container.yaml', 'other.yaml'],
    ]) {
      const { stdout, stderr } = await boxctl(command, callerOptions(self, cwd, { env: ENV }));
      expect({
        command,
        told: (stdout + stderr).includes(`A=${MARKER}`) || (stdout + stderr).includes(`"${MARKER}"`),
      }).toEqual({ command, told: true });
    }
  });

  test('a bundle has the values, and only after they were allowed', async () => {
    const cwd = project({ environment: ['MY_TOKEN'] });
    const refused = await boxctl(['bundle', 'container.yaml', 'made'], callerOptions(self, cwd, { env: ENV }));
    expect(refused.status).toBe(125);
    expect(refused.stderr).toContain('--allow env=MY_TOKEN');
    const made = await boxctl(
      ['bundle', '--allow', 'env=MY_TOKEN', 'container.yaml', 'made'],
      callerOptions(self, cwd, { env: ENV }),
    );
    expect(made.status).toBe(0);
    expect(readFileSync(join(cwd, 'made/config.json'), 'utf8')).toContain(ENV.MY_TOKEN);
  });
});

test('a container file that comes through a pipe is read', async () => {
  const script = `printf 'image: {host_tools: [sh]}\\ncommand: [sh]\\n' | "${process.execPath}" "${PROGRAM}" validate /dev/stdin`;
  expect(await run(['sh', '-c', script])).toMatchObject({ status: 0, stderr: '' });
});
