/** The examples with a network run as they are, in a lab of namespaces. */
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { PROJECT } from '../support/boxctl.ts';
import { callerOptions, callers } from '../support/container.ts';
import { makeLab, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';
import { tempFolder } from '../support/temp.ts';

const WHY = whyNoLab();
/** With starts that are made twice, that of PATH is a script which tells that it was run. */
const HAS_NODE = 'its image has the `node` of PATH';
/** Root, and an ordinary user whose packets a program carries. */
const carried = callers.filter(
  ({ user }, index) => index < 2 && (user === undefined || existsSync('/usr/bin/slirp4netns')),
);

describe.skipIf(WHY !== undefined)(`examples with a network (${WHY ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    await lab.host.shell('mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200');
  });
  afterAll(() => lab.end());

  function example(name: string): string {
    const folder = tempFolder({ open: true });
    cpSync(join(PROJECT, 'examples', name), folder, { recursive: true });
    return folder;
  }

  test.each(carried)('`web` answers the host, and not the world: $title', { timeout: 120_000 }, async (caller) => {
    let child: ChildProcess | undefined;
    let output = '';
    const options = callerOptions(caller, example('web'), { env: { PORT: '9000' } });
    const ended = lab.host.boxctl(['up', '--allow', 'port', '--allow', 'tool'], {
      ...options,
      once: HAS_NODE,
      onStart: (process) => {
        child = process;
        process.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
      },
    });
    const early = ended.then(({ stderr }) => Promise.reject(new Error(`it has ended: ${stderr}`)));
    try {
      await Promise.race([vi.waitFor(() => expect(output).toContain('serving'), { timeout: 40_000 }), early]);
      expect(await lab.host.get('http://127.0.0.1:9000/')).toContain('Hello from a container');
      const { status } = await lab.world.run(['curl', '-s', '--max-time', '3', 'http://192.0.2.2:9000/']);
      expect(status).not.toBe(0);
    } finally {
      child?.kill('SIGTERM');
    }
    expect((await ended).status).toBe(0);
  });

  test.each(carried)(
    '`one-host` reaches the host that it names, and not another: $title',
    { timeout: 120_000 },
    async (caller) => {
      const options = callerOptions(caller, example('one-host'), { env: { HOST: WORLD.ipv4 }, once: HAS_NODE });
      const { stdout, status } = await lab.host.boxctl(['up', '--allow', 'egress', '--allow', 'tool'], options);
      expect({ stdout, status }).toEqual({
        stdout: `${WORLD.ipv4}: 200\n${SECOND.ipv4}: ECONNREFUSED\n`,
        status: 0,
      });
    },
  );
});
