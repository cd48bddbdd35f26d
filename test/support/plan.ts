/** Plans for hosts that are data, and plans as lines that can be compared. */
import type { HostFacts } from '../../src/host/facts.ts';
import type { ImageFacts, Layer } from '../../src/model/image.ts';
import { compile, ownershipFor, type Overrides } from '../../src/model/compile.ts';
import { planContainer, type PlanOptions } from '../../src/plan/container.ts';
import { formatCall } from '../../src/show/call-text.ts';
import { listedMessages, messageWriter } from '../../src/show/netlink-text.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { load } from './spec.ts';

/** An image as it would lie in the store of the host. */
function imageOf(host: HostFacts): ImageFacts {
  const digest = 'd'.repeat(64);
  return {
    digest,
    record: `${host.dirs.store}/images/${digest}/plain.json`,
    layers: [{ kind: 'tree', path: `${host.dirs.store}/layers/${digest}/plain/rootfs` }],
    ownership: undefined,
    passwd: 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n',
    group: 'root:x:0:\napp:x:1000:\n',
    shell: '/bin/sh',
    defaults: {},
  };
}

/** What `boxctl plan` would make of the text on such a host. */
export function planOf(
  yaml: string,
  host: HostFacts,
  overrides: Overrides = {},
  layers?: readonly Layer[],
  options?: PlanOptions,
): Plan {
  const document = load(yaml);
  const found = document.spec.image === undefined ? undefined : imageOf(host);
  const image = found === undefined || layers === undefined ? found : { ...found, layers };
  const ownership = ownershipFor(document, host);
  const placed = image === undefined ? undefined : { ...image, ownership };
  return planContainer(compile(document, placed, host, overrides), placed, host, options);
}

/** A line for each step, with all that it holds; `~`: the kernel undoes it. */
export function linesOf(plan: Plan): readonly string[] {
  const write = messageWriter(plan);
  const steps = plan.steps.flatMap(({ id, side, call, because, undo }) => {
    const place = because.kind === 'default' ? `default: ${because.name}` : `line ${because.at?.line}`;
    const kernel = undo === 'kernel' ? ' ~' : '';
    const line = `${side === 'host' ? 'host  ' : 'inside'} ${id}: ${formatCall(call, write)}${kernel} (${place})`;
    const messages = listedMessages(call).map((message) => `         ${write(message)}`);
    return [
      line,
      ...messages,
      ...(typeof undo === 'string' ? [] : undo.map((one) => `         undo: ${formatCall(one, write)}`)),
    ];
  });
  const reports = plan.reports.map(({ what, dirfd, file, key }) => `report ${what}: ${key} of ${dirfd}/${file}`);
  const dropped = plan.dropped.map(({ what, reason }) => `dropped ${what}: ${reason}`);
  const terminal = plan.terminal === undefined ? [] : [`terminal ${JSON.stringify(plan.terminal)}`];
  return [...steps, ...reports, ...dropped, ...terminal];
}

/** The lines that two lists do not share, `-` and `+`, each run after the line that both have before it. */
export function differences(before: readonly string[], after: readonly string[]): string {
  const width = after.length + 1;
  const longest = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      const skip = Math.max(longest[(i + 1) * width + j] ?? 0, longest[i * width + j + 1] ?? 0);
      longest[i * width + j] = before[i] === after[j] ? (longest[(i + 1) * width + j + 1] ?? 0) + 1 : skip;
    }
  }
  const out: string[] = [];
  let shared: string | undefined = 'the beginning:';
  const say = (sign: string, line: string | undefined): void => {
    if (shared !== undefined) out.push(`@ after ${shared.replace(/:.*/u, '')}`);
    shared = undefined;
    out.push(`${sign} ${line}`);
  };
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      shared = after[j];
      i++;
      j++;
    } else if (j >= after.length || (longest[(i + 1) * width + j] ?? 0) >= (longest[i * width + j + 1] ?? 0)) {
      if (i < before.length) say('-', before[i++]);
      else say('+', after[j++]);
    } else say('+', after[j++]);
  }
  return `${out.join('\n')}\n`;
}
