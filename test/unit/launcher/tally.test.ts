/** What the launcher reads of nf_tables after the end, by its own code (tally-main.cc) from tables of nft's. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodeMessages } from '../../../src/kernel/netlink/encode.ts';
import type { Message } from '../../../src/kernel/netlink/message.ts';
import { EVENT_RECORD } from '../../../src/kernel/wire.ts';
import { sizeOf } from '../../../src/kernel/layout.ts';
import { Course } from '../../../src/launcher/course.ts';
import { ROOT_HOST } from '../../support/host-facts.ts';
import { planOf } from '../../support/plan.ts';
import { sanitized } from '../image/worker.ts';

const NATIVE = join(import.meta.dirname, '../../../native/launcher');
// Before the tests begin, whose time is limited.
const SOURCES = ['tally', 'plan', 'events'].map((name) => join(NATIVE, `${name}.cc`));
const program = sanitized(join(import.meta.dirname, 'tally-main.cc'), SOURCES);
const hasNft = process.geteuid?.() === 0 && spawnSync('nft', ['--version']).status === 0;

const RULES = `
table netdev t {
  counter refused { packets 77 bytes 1000 }
  set four { type ipv4_addr . inet_service . inet_proto; size 100; counter; elements = {
    169.254.169.254 . 80 . tcp counter packets 41 bytes 99, 10.0.0.1 . 53 . udp counter packets 5 bytes 9 } }
  set six { type ipv6_addr . inet_service . inet_proto; size 5000; counter; }
}
`;
const attributes = (set: string) => ({ NFTA_SET_ELEM_LIST_TABLE: 't', NFTA_SET_ELEM_LIST_SET: set });
const elements = (set: string): Message => ({
  type: 'NFT_MSG_GETSETELEM',
  flags: 'NLM_F_REQUEST|NLM_F_DUMP',
  header: { nfgen_family: 'NFPROTO_NETDEV' },
  attributes: attributes(set),
});
const counter: Message = {
  type: 'NFT_MSG_GETOBJ',
  flags: 'NLM_F_REQUEST',
  header: { nfgen_family: 'NFPROTO_NETDEV' },
  attributes: { NFTA_OBJ_TABLE: 't', NFTA_OBJ_NAME: 'refused', NFTA_OBJ_TYPE: 'NFT_OBJECT_COUNTER' },
};

test.skipIf(!hasNft)(
  'a counter and the elements of sets of both families are read, also when there are thousands (needs root and nftables)',
  () => {
    const many = Array.from(
      { length: 3000 },
      (_, i) => `2001:db8::${i.toString(16)} . ${i} . tcp counter packets ${i} bytes 1`,
    );
    const rules = `${RULES}\nadd element netdev t six { ${many.join(', ')} }\n`;
    const questions = [counter, elements('four'), elements('six'), elements('missing'), counter].map((message) =>
      Buffer.from(encodeMessages([message]).bytes).toString('hex'),
    );
    const script = 'nft -f - && exec "$@"';
    const { stdout, stderr, status } = spawnSync(
      'unshare',
      ['--net', 'sh', '-c', script, 'sh', program, ...questions],
      {
        input: rules,
        maxBuffer: 1 << 24,
      },
    );
    expect({ stderr: String(stderr), status }).toEqual({ stderr: '', status: 0 });
    const course = new Course(planOf('image: {host_tools: [sh]}\ncommand: [sh]\n', ROOT_HOST), () => undefined);
    const size = sizeOf(EVENT_RECORD);
    const events = new DataView(stdout.buffer, stdout.byteOffset, stdout.byteLength);
    for (let at = 0; at < stdout.length; at += size) course.take(events, at);
    const end = new DataView(new ArrayBuffer(size));
    end.setUint32(0, 8, true);
    course.take(end, 0);
    const { packets, destinations } = course.outcome().refused;
    // The counter was asked for twice.
    expect(packets).toBe(2 * 77);
    const [six, four] = [
      destinations.filter(({ to }) => to.address.includes(':')),
      destinations.filter(({ to }) => !to.address.includes(':')),
    ];
    expect(four.toSorted((a, b) => b.packets - a.packets)).toEqual([
      { to: { address: '169.254.169.254', protocol: 'tcp', port: 80 }, packets: 41 },
      { to: { address: '10.0.0.1', protocol: 'udp', port: 53 }, packets: 5 },
    ]);
    expect(six).toHaveLength(3000);
    expect(six).toContainEqual({ to: { address: '2001:db8::b', protocol: 'tcp', port: 11 }, packets: 11 });
  },
);
