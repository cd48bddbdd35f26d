/**
 * The record in a kept plan, thing by thing: had any of it been otherwise when the plan was made, the plan is not used. The record is
 * changed and not the world, so that nothing else differs.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KEPT_INPUT } from '../../src/kernel/wire.ts';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { hasLimits } from '../support/container.ts';
import { callers, plain, project, type Project } from '../support/front-project.ts';
import { frontAlone, neededNode, warm } from '../support/front.ts';
import { changesOf, inputsOf } from '../support/kept-record.ts';
import type { TestUser } from '../support/user.ts';

const UP = ['up', '--quiet'];
/** Of networks: test/integration/front-network.test.ts. */
const OF_NETWORKS: ReadonlySet<string> = new Set(['table', 'setting', 'addresses']);

/** A file whose plan is made from every kind of input that a plan without a network has. */
function full(user: TestUser | undefined): Project {
  const made = project(
    {
      command: ['cat', '/data/x'],
      environment: { A: '${RECORD_UNSET:-none}' },
      security_opt: ['seccomp:./profile.json'],
      volumes: ['../outside:/data:ro', './inner:/inner', 'named:/named'],
      devices: ['/dev/zero:/dev/z'],
      user: 'root',
      ...(hasLimits && user === undefined ? { limits: { memory: '64MiB', pids: 50, cpus: 1 } } : {}),
    },
    user,
  );
  const around = dirname(made.folder);
  mkdirSync(join(around, 'real'));
  writeFileSync(join(around, 'real/x'), 'x\n');
  symlinkSync('real', join(around, 'outside'));
  mkdirSync(join(made.folder, 'inner/.git'), { recursive: true });
  writeFileSync(join(made.folder, 'inner/.git/HEAD'), 'ref: refs/heads/main\n');
  writeFileSync(join(made.folder, 'profile.json'), JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] }));
  writeFileSync(join(around, 'config/boxctl/policy.yaml'), 'allow: [all]\n');
  if (user !== undefined) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, join(made.folder, 'inner')]);
  return made;
}

describe.skipIf(!hasBusybox).each(callers)('the record of a kept plan, as %s (needs busybox-static)', (_, user) => {
  test('is compared as a whole', async () => {
    const made = full(user);
    const ended = await warm(UP, made.options);
    expect(plain(ended)).toEqual({ status: 0, stdout: 'x\n', stderr: '' });
    const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
    const [name = ''] = readdirSync(folder).toSorted();
    const file = join(folder, name);
    const bytes = readFileSync(file);
    const inputs = inputsOf(bytes);
    expect(new Set(inputs.map(({ kind }) => kind))).toEqual(
      new Set(Object.keys(KEPT_INPUT).filter((kind) => !OF_NETWORKS.has(kind))),
    );
    // The reading here is right: what it says of the bytes is what boxctl says of the record.
    const listed = await boxctl(['plan', '--inputs', '--json'], made.options);
    const known = (JSON.parse(listed.stdout) as { readonly inputs: readonly { path?: string; name?: string }[] })
      .inputs;
    const names = new Set(inputs.map((input) => input.name));
    expect(known.map(({ path, name: of }) => path ?? of).filter((one) => one !== undefined && !names.has(one))).toEqual(
      [],
    );
    const used: string[] = [];
    let tried = 0;
    for (const input of inputs) {
      for (const [what, changed] of changesOf(bytes, input)) {
        tried++;
        writeFileSync(file, changed);
        if (!neededNode(await frontAlone(UP, made.options))) used.push(`${input.kind} ${input.name}: ${what}`);
      }
    }
    expect(used).toEqual([]);
    expect(tried).toBeGreaterThan(250);
    writeFileSync(file, bytes);
    expect(neededNode(await frontAlone(UP, made.options))).toBe(false);
  }, 300_000);
});
