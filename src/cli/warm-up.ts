/**
 * What `up` does, without a container. The build runs this and then takes V8's code cache: functions that have run are in it,
 * compiled, and those that have not must be compiled at each start.
 */
import { endOf } from '../container/run.ts';
import { readDigestInBackground } from '../container/digest-in-background.ts';
import { forwardSignals } from '../container/signals.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { gatherNetworkFacts } from '../host/network.ts';
import { findImage } from '../image/resolve.ts';
import { offsetOf, sizeOf } from '../kernel/layout.ts';
import { EVENT, EVENT_RECORD } from '../kernel/wire.ts';
import { encodePlan } from '../launcher/encode.ts';
import { Course } from '../launcher/course.ts';
import type { Outcome } from '../launcher/events.ts';
import { compile, ownershipFor } from '../model/compile.ts';
import type { ImageFacts } from '../model/image.ts';
import { planContainer } from '../plan/container.ts';
import type { Plan } from '../plan/plan.ts';
import type { Progress } from '../show/progress-interface.ts';
import { loadSpecText } from '../spec/load.ts';
import { chooseRanges } from '../state/address-pool.ts';
import { claimIds } from '../state/id-ranges.ts';
import { sweepState } from '../state/sweep.ts';
import { namedCommand } from './named-command.ts';
import { textMessages } from './messages.ts';
import { wantsColor } from './output.ts';
import { parseArguments } from './parse.ts';
import { reporterFor } from './terminal-reporter.ts';
import { COMMANDS } from './table.ts';
import { checkDemands, permitsOf } from './trust.ts';

const TEXT = `
name: warm-up
image: {host_tools: [sh]}
hostname: warm-up
limits: {memory: 64MiB, pids: 50, cpus: 1, optional: true}
environment: {A: "1", B: "\${HOME}"}
working_dir: /work
command: [sh, -c, "true"]
tmpfs: [/tmp]
`;

/** The outcome of a plan whose command has run, by records as the launcher writes them. */
function outcomeOf(plan: Plan, progress: Progress): Outcome {
  const course = new Course(plan, progress.event);
  for (const kind of [EVENT.done, EVENT.gate, EVENT.started, EVENT.report, EVENT.undo, EVENT.exited]) {
    const record = new DataView(new ArrayBuffer(sizeOf(EVENT_RECORD)));
    record.setUint32(offsetOf(EVENT_RECORD, 'kind'), kind, true);
    course.take(record, 0);
  }
  return course.outcome();
}

const NETWORK = `
name: warm-up
image: {host_tools: [sh]}
command: [sh]
network_mode: bridge
ports: ['127.0.0.1:8080:80']
egress: ['192.0.2.7:443', '2001:db8::/32']
`;

const IMAGE: ImageFacts = {
  digest: '',
  record: '/',
  layers: [{ kind: 'tree', path: '/' }],
  shell: '',
  ownership: undefined,
  passwd: 'root:x:0:0::/root:/bin/sh\n',
  group: '',
  defaults: {},
};

/** The same for a container with a network, whose modules are a pack of their own. To be called after `warmUp`. */
export function warmUpNetwork(): void {
  try {
    const document = loadSpecText(NETWORK, 'warm-up.yaml', { env: { HOME: '/' }, home: '/' });
    const found = gatherHostFacts({ HOME: '/nonexistent', ...process.env });
    const networking = { ...gatherNetworkFacts(found.dirs), netAdmin: true };
    const host = { ...found, privileged: true, networking };
    const network = { index: 1, pool: chooseRanges({}, networking).pool, networks: [], resolved: new Map() };
    const claims = { ...claimIds(document, host), network };
    encodePlan(planContainer(compile(document, IMAGE, host, {}, claims), IMAGE, host));
  } catch {
    // The cache then lacks what did not run.
  }
}

/** Never throws: a build must not depend on the machine that it runs on. */
export function warmUp(): void {
  try {
    const found = namedCommand(['up', '--quiet', '--allow', 'all', 'warm-up.yaml'], COMMANDS);
    if (found === undefined) return;
    const invocation = {
      args: parseArguments(found.command, found.rest),
      env: { HOME: '/' },
      cwd: '/',
      commands: COMMANDS,
    };
    const messages = textMessages(wantsColor(2, {}), true);
    const reporter = reporterFor(invocation, 'quiet', messages);
    const permits = permitsOf(invocation);
    const document = loadSpecText(TEXT, 'warm-up.yaml', { env: { HOME: '/' }, home: '/' });
    const host = gatherHostFacts({ HOME: '/nonexistent', ...process.env });
    const claims = claimIds(document, host);
    const { image } = document.spec;
    const ownership = ownershipFor(document, host, claims);
    if (image !== undefined) findImage(image, ownership, host);
    const facts = { ...IMAGE, ownership };
    const model = compile(document, facts, host, {}, claims);
    checkDemands(invocation, document, model.demands, permits);
    const plan = planContainer(model, facts, host);
    encodePlan(plan, { gate: true });
    forwardSignals(
      () => undefined,
      () => undefined,
    )();
    void readDigestInBackground(undefined, host)();
    const outcome = outcomeOf(plan, reporter.launching(plan));
    messages.ended({ ...endOf({ plan, model, host, outcome }, { reporter }), limits: [] });
    void sweepState(host);
  } catch {
    // The cache then lacks what did not run.
  }
}
