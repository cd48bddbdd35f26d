/** The examples with a network run as they are, in a lab of namespaces. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { PROJECT } from '../support/boxctl.ts';
import { callerOptions, self } from '../support/container.ts';
import { makeLab, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';
import { tempFolder } from '../support/temp.ts';

const WHY = whyNoLab();

describe.skipIf(WHY !== undefined)(`examples with a network (${WHY ?? 'as root'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
  });
  afterAll(() => lab.end());

  function example(name: string): string {
    const folder = tempFolder({ open: true });
    cpSync(join(PROJECT, 'examples', name), folder, { recursive: true });
    return folder;
  }

  test('`web` answers the host, and not the world', { timeout: 60_000 }, async () => {
    let child: ChildProcess | undefined;
    let output = '';
    const options = callerOptions(self, example('web'), { env: { PORT: '9000' } });
    const ended = lab.host.boxctl(['up', '--allow', 'port', '--allow', 'tool'], {
      ...options,
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

  test('`one-host` reaches the host that it names, and not another', { timeout: 60_000 }, async () => {
    const options = callerOptions(self, example('one-host'), { env: { HOST: WORLD.ipv4 } });
    const { stdout, status } = await lab.host.boxctl(['up', '--allow', 'egress', '--allow', 'tool'], options);
    expect({ stdout, status }).toEqual({
      stdout: `${WORLD.ipv4}: 200\n${SECOND.ipv4}: ECONNREFUSED\n`,
      status: 0,
    });
  });
});
