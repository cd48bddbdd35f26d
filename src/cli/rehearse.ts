/**
 * What `up` does, without a container. The build runs this and then takes V8's code cache, so that the
 * functions on the way are in it, compiled.
 */
import type { HostFacts } from '../host/facts.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { findImage } from '../image/resolve.ts';
import { offsetOf, sizeOf } from '../kernel/layout.ts';
import { EVENT, EVENT_RECORD } from '../kernel/wire.ts';
import { compile, ownershipFor } from '../model/compile.ts';
import { planContainer } from '../plan/container.ts';
import { encodePlan } from '../launcher/encode.ts';
import type { Plan } from '../plan/plan.ts';
import { endingOf } from '../run/ending.ts';
import { explainFailure } from '../run/explain.ts';
import { Course } from '../launcher/launch.ts';
import { createProgress } from '../show/progress.ts';
import { loadSpecText } from '../spec/load.ts';
import { claimIds } from '../state/id-ranges.ts';
import { sweepState } from '../state/sweep.ts';
import { screen, wantsColor } from './output.ts';
import { parseArguments } from './parse.ts';
import { settleBeside } from './settle.ts';
import { forwardSignals } from './signals.ts';
import { commandOf } from './command-of.ts';
import { COMMANDS } from './table.ts';
import { checkDemands, permitsOf } from './trust.ts';
import { textVoice } from './voice.ts';

const TEXT = `
name: rehearsal
image: {host_tools: [sh]}
hostname: rehearsal
limits: {memory: 64MiB, pids: 50, cpus: 1, optional: true}
environment: {A: "1", B: "\${HOME}"}
working_dir: /work
command: [sh, -c, "true"]
tmpfs: [/tmp]
`;

/** The command's start and end, as the launcher tells them. */
function rehearseRun(plan: Plan): void {
  const progress = createProgress({ mode: 'quiet', plan, screen: screen({}) });
  const course = new Course(plan, progress.event);
  for (const kind of [EVENT.done, EVENT.gate, EVENT.started, EVENT.report, EVENT.undo, EVENT.exited]) {
    const record = Buffer.alloc(sizeOf(EVENT_RECORD));
    record.writeUInt32LE(kind, offsetOf(EVENT_RECORD, 'kind'));
    course.take(record);
  }
  const outcome = course.outcome();
  const ending = explainFailure(plan, outcome) ?? endingOf(plan, outcome);
  if (ending !== undefined && 'limits' in ending) textVoice(wantsColor(2, {}), true).ended({ ...ending, limits: [] });
}

/** Never throws: a build must not depend on the machine that it runs on. */
export function rehearse(): void {
  try {
    const found = commandOf(['up', '--quiet', '--allow', 'all', 'rehearsal.yaml'], COMMANDS);
    if (found === undefined) return;
    const invocation = {
      args: parseArguments(found.command, found.rest),
      env: { HOME: '/' },
      cwd: '/',
      commands: COMMANDS,
    };
    const permits = permitsOf(invocation);
    const document = loadSpecText(TEXT, 'rehearsal.yaml', { env: { HOME: '/' }, home: '/' });
    const host: HostFacts = gatherHostFacts({ HOME: '/nonexistent', ...process.env });
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
    void settleBeside(undefined, host)();
    rehearseRun(plan);
    void sweepState(host);
  } catch {
    // The cache is then a little poorer.
  }
}
