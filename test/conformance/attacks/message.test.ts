/** Attacks by the message that the launcher gets: plans that are mutated, and plans that are very large (CVE-2021-43784). */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CHILD, type Message } from '../../../src/kernel/netlink/message.ts';
import { onHost } from '../../../src/plan/context.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import { byDefault, Steps } from '../../../src/plan/steps.ts';
import { encodePlan } from '../../../src/launcher/encode.ts';
import { boxctl, PROJECT } from '../../support/boxctl.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { callerOptions, self, sh, specFolder } from '../../support/container.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { runMutants } from '../../support/mutants.ts';
import { planOf } from '../../support/plan.ts';
import { tempFolder } from '../../support/temp.ts';

const FILE = `name: mutants
image: {host_tools: [sh]}
hostname: inside
tty: true
init: true
volumes: ['./:/w:ro']
tmpfs: [/tmp]
command: [sh, -c, 'echo x']
`;

/** Its last step is made once more, by netlink messages with places that the launcher fills in. */
function withMessages(plan: Plan): Plan {
  const link = (name: string): Message => ({
    type: 'RTM_NEWLINK',
    flags: 'NLM_F_REQUEST|NLM_F_ACK',
    header: { ifi_index: 5 },
    attributes: { IFLA_NET_NS_PID: CHILD, IFLA_IFNAME: name, IFLA_LINKINFO: { IFLA_INFO_KIND: 'veth' } },
  });
  const steps = new Steps();
  const place = onHost('network', byDefault('test'));
  const fd = steps.add(place, 'fuzz.socket', 'socket', { domain: 16, type: 3, protocol: 0 });
  const messages = [link('a'), link('bcd'), link('efghijk')];
  steps.add(place, 'fuzz.netlink', 'netlink', { fd, messages });
  steps.add(place, 'fuzz.once', 'netlink_once', { fd, question: [link('x')], messages });
  // Short, so that most mutations are of these.
  const at = plan.steps.findIndex(({ call }) => call.name === 'clone3');
  return {
    ...plan,
    steps: [...plan.steps.slice(at, at + 1), ...steps.list, ...plan.steps.slice(-1)],
    reports: [],
    terminal: undefined,
  };
}

test('the launcher refuses a mutated plan, or reads it to its end', { timeout: 120_000 }, () => {
  const folder = tempFolder();
  const plans = [...[ROOT_HOST, USER_HOST].map((host) => planOf(FILE, host)), withMessages(planOf(FILE, ROOT_HOST))];
  const seeds = plans.map((plan, index) => {
    const path = join(folder, `plan-${index}`);
    writeFileSync(path, encodePlan(plan));
    return path;
  });
  const sources = [join(PROJECT, 'native/launcher/plan.cc')];
  const ended = runMutants('fuzz-plan', sources, folder, 20_000, {}, seeds);
  expect(ended).toEqual({ status: 0, signal: null, stderr: '' });
});

test.skipIf(!hasBusybox)('a text of 64 KiB reaches the launcher unchanged (needs busybox-static)', async () => {
  for (const size of [65_535, 65_536, 65_537, 100_000]) {
    const { stdout, stderr } = await sh('echo ${#LONG} $AFTER', {
      environment: { LONG: 'x'.repeat(size), AFTER: 'y' },
    });
    expect({ stdout, stderr }).toEqual({ stdout: `${size} y\n`, stderr: '' });
  }
});

test.skipIf(!hasBusybox)(
  '70,000 variables of the environment all reach the command (needs busybox-static)',
  { timeout: 120_000 },
  async () => {
    const folder = specFolder({ env_file: 'many.env', command: ['sh', '-c', 'env | grep -c ^V'] });
    writeFileSync(join(folder, 'many.env'), Array.from({ length: 70_000 }, (_, index) => `V${index}=\n`).join(''));
    const { stdout, stderr } = await boxctl(['up'], callerOptions(self, folder));
    expect({ stdout, stderr: stderr.slice(0, 500) }).toEqual({ stdout: '70000\n', stderr: '' });
  },
);
