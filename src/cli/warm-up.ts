/**
 * What `up` does, without a container. The build runs this and then takes V8's code cache: functions that have run are in it,
 * compiled, and those that have not must be compiled at each start.
 */
import { endOf } from '../container/run.ts';
import { readDigestInBackground } from '../container/digest-in-background.ts';
import { forwardSignals } from '../container/signals.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { findImage } from '../image/resolve.ts';
import { offsetOf, sizeOf } from '../kernel/layout.ts';
import { EVENT, EVENT_RECORD } from '../kernel/wire.ts';
import { encodePlan } from '../launcher/encode.ts';
import { Course, type Outcome } from '../launcher/launch.ts';
import { compile, ownershipFor } from '../model/compile.ts';
import { planContainer } from '../plan/container.ts';
import type { Plan } from '../plan/plan.ts';
import type { Progress } from '../show/progress-interface.ts';
import { loadSpecText } from '../spec/load.ts';
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
    const facts = {
      digest: '',
      record: '/',
      layers: [{ kind: 'tree', path: '/' }] as const,
      shell: '',
      ownership,
      passwd: 'root:x:0:0::/root:/bin/sh\n',
      group: '',
      defaults: {},
    };
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
