/** Netlink messages of a plan: the kernel gets what they say, and what it refuses is told by the message and its attribute. */
import { closeSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { gatherHostFacts } from '../../../src/host/gather.ts';
import { AF, NETLINK, SOCK, SOCKET_OPTION, SOL } from '../../../src/kernel/constants.ts';
import type { Message } from '../../../src/kernel/netlink/message.ts';
import type { Outcome } from '../../../src/launcher/events.ts';
import { launch } from '../../../src/launcher/launch.ts';
import { pipe } from '../../../src/native.ts';
import { inside } from '../../../src/plan/context.ts';
import { planContainer } from '../../../src/plan/container.ts';
import {
  ACCEPT,
  compare,
  count,
  DROP,
  IPV4,
  isIn,
  loadMeta,
  loadPayload,
  PORT,
  TableBuilder,
  transaction,
  type Part,
} from '../../../src/plan/network/nft.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import { byDefault, Steps } from '../../../src/plan/steps.ts';
import { explainFailure } from '../../../src/run/explain.ts';
import { hasBusybox, makeBusyboxTree } from '../../support/busybox.ts';
import { testImage, testModel } from '../../support/model.ts';
import { tempFolder } from '../../support/temp.ts';

const PLACE = inside('network', byDefault('test'));

/** A container in whose network namespace the steps are made before its command runs. */
function planWith(script: string, add: (steps: Steps) => void): Plan {
  const folder = tempFolder({ open: true });
  for (const name of ['store/mnt', 'state']) mkdirSync(join(folder, name), { recursive: true });
  makeBusyboxTree(join(folder, 'rootfs'));
  const dirs = { store: join(folder, 'store'), state: join(folder, 'state') };
  const host = { ...gatherHostFacts(process.env), dirs };
  const model = testModel({ host, args: ['sh', '-c', script] });
  const plan = planContainer(model, testImage(join(folder, 'rootfs')), host);
  const steps = new Steps();
  add(steps);
  const at = plan.steps.findIndex(({ id }) => id === 'loopback.up') + 1;
  return { ...plan, steps: plan.steps.toSpliced(at, 0, ...steps.list) };
}

async function run(plan: Plan): Promise<Outcome & { readonly output: string }> {
  const [output, outputEnd] = pipe();
  const outcome = await launch(plan, { stdio: [0, outputEnd, outputEnd] }).done;
  closeSync(outputEnd);
  const text = readFileSync(output, 'utf8');
  closeSync(output);
  return { ...outcome, output: text };
}

function netlink(steps: Steps, protocol: number, parts: readonly Part[], question?: Message): void {
  const fd = steps.add(PLACE, 'socket', 'socket', { domain: AF.AF_NETLINK, type: SOCK.SOCK_RAW, protocol });
  const { SOL_NETLINK: level } = SOL;
  steps.add(PLACE, 'ack', 'setsockopt', { fd, level, optname: SOCKET_OPTION.NETLINK_EXT_ACK, value: 1 });
  steps.add(PLACE, 'cap', 'setsockopt', { fd, level, optname: SOCKET_OPTION.NETLINK_CAP_ACK, value: 1 });
  const messages = parts.map(({ message }) => message);
  if (question === undefined) steps.add(PLACE, 'netlink', 'netlink', { fd, messages });
  else {
    for (const id of ['first', 'second']) steps.add(PLACE, id, 'netlink_once', { fd, question: [question], messages });
  }
}

const REQUEST = 'NLM_F_REQUEST|NLM_F_ACK|NLM_F_CREATE|NLM_F_EXCL';
const PAIR: Message = {
  type: 'RTM_NEWLINK',
  flags: REQUEST,
  header: { ifi_index: 17 },
  attributes: {
    IFLA_IFNAME: 'left',
    IFLA_ADDRESS: Uint8Array.of(2, 0, 0, 0, 0, 1),
    IFLA_LINKINFO: {
      IFLA_INFO_KIND: 'veth',
      IFLA_INFO_DATA: { VETH_INFO_PEER: { ifi_index: 18, IFLA_IFNAME: 'right' } },
    },
  },
};
const ADDRESS: Message = {
  type: 'RTM_NEWADDR',
  flags: REQUEST,
  header: { ifa_family: 'AF_INET6', ifa_prefixlen: 64, ifa_index: 17 },
  attributes: {
    IFA_LOCAL: Uint8Array.from([0xfd, ...Array.from({ length: 14 }, () => 0), 9]),
    IFA_FLAGS: 'IFA_F_NODAD|IFA_F_PERMANENT',
  },
};

/** A table that drops what goes to a port of 127.0.0.5, and counts it. */
function table(): TableBuilder {
  const builder = new TableBuilder('NFPROTO_INET', 'test', { owned: false });
  builder.counter('dropped');
  builder.growingSet('seen', [IPV4, PORT], 16);
  builder.rangeSet('range', IPV4, [{ first: Uint8Array.of(127, 0, 0, 5), afterLast: Uint8Array.of(127, 0, 0, 7) }]);
  builder.chain('input', { type: 'filter', hook: 'NF_INET_LOCAL_IN', priority: 0 });
  builder.rule('input', [
    loadMeta('NFT_META_NFPROTO'),
    compare('EQ', Uint8Array.of(2)),
    loadPayload('NFT_PAYLOAD_NETWORK_HEADER', 16, 4),
    isIn('range'),
    count('dropped'),
    DROP,
  ]);
  builder.rule('input', [ACCEPT]);
  return builder;
}

describe.skipIf(!hasBusybox)('netlink messages of a plan (needs busybox-static)', () => {
  test('an interface and its address are there as the messages say', async () => {
    const script = 'ip link show left; ip addr show left';
    const { output, failed } = await run(
      planWith(script, (steps) => netlink(steps, NETLINK.NETLINK_ROUTE, [{ message: PAIR }, { message: ADDRESS }])),
    );
    expect(failed).toBeUndefined();
    expect(output).toMatch(/^17: left@right: /u);
    expect(output).toContain('link/ether 02:00:00:00:00:01');
    expect(output).toContain('inet6 fd00::9/64');
  });

  test('rules of a transaction hold', async () => {
    const script = 'for i in 4 5 6 7; do nc -w 1 127.0.0.$i 9 2>&1 | grep -q refused && echo $i; done; true';
    const { output, failed } = await run(
      planWith(script, (steps) => netlink(steps, NETLINK.NETLINK_NETFILTER, transaction(table().parts))),
    );
    expect(failed).toBeUndefined();
    expect(output).toBe('4\n7\n');
  });

  test('of several messages, the one that is refused is named, with the attribute that is wrong', async () => {
    const wrong = { ...ADDRESS, header: { ...ADDRESS.header, ifa_index: 99 } };
    const plan = planWith('true', (steps) =>
      netlink(steps, NETLINK.NETLINK_ROUTE, [{ message: PAIR }, { message: wrong }]),
    );
    const outcome = await run(plan);
    expect(outcome.failed).toMatchObject({ errno: 19 });
    const message = explainFailure(plan, outcome)?.message ?? '';
    expect(message).toContain('the step netlink failed: netlink(socket, [RTM_NEWLINK veth left ');
    expect(message).toContain('the kernel refuses RTM_NEWADDR fd00::9/64 dev 99 nodad permanent');
  });

  test('of a transaction with a mistake in it, nothing is made, and the mistake is named', async () => {
    const builder = table();
    builder.rule('input', [isIn('no-such-set')]);
    const plan = planWith('true', (steps) => netlink(steps, NETLINK.NETLINK_NETFILTER, transaction(builder.parts)));
    const outcome = await run(plan);
    expect(outcome.failed).toMatchObject({ errno: 2 });
    const message = explainFailure(plan, outcome)?.message ?? '';
    expect(message).toContain('the kernel refuses NFT_MSG_NEWRULE {nfgen_family=NFPROTO_INET');
    expect(message).toContain('lookup(SET=no-such-set, SREG=REG_1)');
  });

  test('what is made once is made by the first who finds that it is not there', async () => {
    const question: Message = {
      type: 'NFT_MSG_GETTABLE',
      flags: 'NLM_F_REQUEST|NLM_F_ACK',
      header: { nfgen_family: 'NFPROTO_INET' },
      attributes: { NFTA_TABLE_NAME: 'test' },
    };
    const { failed, output } = await run(
      planWith('nc -w 1 127.0.0.5 9 2>&1 | grep -q refused || echo dropped', (steps) =>
        netlink(steps, NETLINK.NETLINK_NETFILTER, transaction(table().parts), question),
      ),
    );
    expect(failed).toBeUndefined();
    expect(output).toBe('dropped\n');
  });
});
