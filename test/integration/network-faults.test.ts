/** Whichever step of a container's network fails, the host's network is as it was. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { INSTALLED, PROJECT } from '../support/boxctl.ts';
import { callerOptions, callers, self, specFolder, type Caller } from '../support/container.ts';
import { makeLab, whyNoLab, type Lab } from '../support/network-lab.ts';

const KEYS = {
  network_mode: 'bridge',
  command: ['true'],
  ports: ['8080:80', '127.0.0.1:9000:90/udp', '[::1]:9001:91'],
  networks: { inner: {} },
  egress: ['198.51.100.0/24', '203.0.113.7:80', '203.0.113.9:80', 'host-gateway:81'],
  limits: { network: { egress: '10mbit', ingress: '20mbit' } },
};

/** Networks between containers take root. */
const { networks: _, ...USER_KEYS } = KEYS;
const user = callers.find((caller) => caller.user !== undefined);

describe.skipIf(whyNoLab() !== undefined)(`a network (${whyNoLab() ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    await lab.host.shell('mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200');
  });
  afterAll(() => lab.end());

  async function breakEachStep(keys: Readonly<Record<string, unknown>>, caller: Caller): Promise<void> {
    const folder = specFolder(keys, caller);
    // Not everybody may read the project.
    const script = join(folder, 'network-faults.mjs');
    copyFileSync(join(PROJECT, 'test/support/network-faults.mjs'), script);
    const library = join(INSTALLED, 'dist/index.js');
    const { stdout, stderr } = await lab.host.run(
      [process.execPath, script, library, join(folder, 'container.yaml')],
      callerOptions(caller, folder),
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^STEPS \d+\n$/u);
    expect(Number(/\d+/u.exec(stdout)?.[0])).toBeGreaterThan(50);
  }

  test('is undone as a whole, whichever of its steps fails', { timeout: 240_000 }, () => breakEachStep(KEYS, self));

  test.skipIf(user === undefined)(
    'of an ordinary user is undone as a whole, whichever of its steps fails (needs the user boxctl-test)',
    { timeout: 240_000 },
    () => breakEachStep(USER_KEYS, user as Caller),
  );
});
