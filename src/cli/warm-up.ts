/**
 * What `up` does, without a container. The build runs this and then takes V8's code cache: functions that have run are in it,
 * compiled, and those that have not must be compiled at each start.
 */
import { closeSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { planExecFor } from '../container/exec.ts';
import { keepWhileItRuns } from '../container/keep-foreground.ts';
import { recordOf } from '../container/kept-record.ts';
import { endOf, follow, runModel } from '../container/run.ts';
import { startedFrom } from '../container/started-from.ts';
import { makeFolders } from '../files/folders.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { gatherNetworkFacts } from '../host/network.ts';
import { offsetOf, sizeOf } from '../kernel/layout.ts';
import { EVENT, EVENT_RECORD } from '../kernel/wire.ts';
import { encodePlan } from '../launcher/encode.ts';
import { Course } from '../launcher/course.ts';
import type { Outcome } from '../launcher/events.ts';
import { compile, ownershipFor } from '../model/compile.ts';
import type { Demand } from '../model/demand.ts';
import type { ImageFacts } from '../model/image.ts';
import { planContainer } from '../plan/container.ts';
import type { Plan } from '../plan/plan.ts';
import type { Progress } from '../show/progress-interface.ts';
import { loadSpecText } from '../spec/load.ts';
import { chooseRanges } from '../state/address-pool.ts';
import { makePlace } from '../state/container-folders.ts';
import { folderOf } from '../state/containers.ts';
import { claimIds } from '../state/id-ranges.ts';
import { Keeper } from './front.ts';
import { main } from './main.ts';
import { namedCommand } from './named-command.ts';
import { textMessages } from './messages.ts';
import { wantsColor } from './output.ts';
import { parseArguments } from './parse.ts';
import { reporterFor } from './terminal-reporter.ts';
import { START_COMMANDS } from './start-table.ts';

const TEXT = `
image: ./image.tar
hostname: warm-up
limits: {memory: 64MiB, pids: 50, cpus: 1, optional: true}
environment: {A: "1", B: "\${HOME}"}
working_dir: /work
command: [sh, -c, "true"]
tmpfs: [/tmp]
namespaces: {time: host}
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
    const networking = gatherNetworkFacts(found.dirs, true);
    const host = { ...found, privileged: true, networking };
    const network = { index: 1, pool: chooseRanges({}, networking).pool, networks: [], resolved: new Map() };
    const claims = { ...claimIds(document, host), network };
    encodePlan(planContainer(compile(document, IMAGE, host, {}, claims), IMAGE, host));
  } catch {
    // The cache then lacks what did not run.
  }
}

const TAR_BLOCK = 512;

/** An archive with one folder. */
function smallArchive(name: string): Buffer {
  const archive = Buffer.alloc(3 * TAR_BLOCK);
  const fields: readonly (readonly [at: number, text: string])[] = [
    [0, `${name}/`],
    [100, '0000755\0'],
    [108, '0000000\0'],
    [116, '0000000\0'],
    [124, '00000000000\0'],
    [136, '00000000000\0'],
    [148, ' '.repeat(8)],
    [156, '5'],
    [257, 'ustar\x0000'],
  ];
  for (const [at, text] of fields) archive.write(text, at, 'latin1');
  const sum = archive.reduce((total, byte) => total + byte, 0);
  archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return archive;
}

/** The words of a start of `container.yaml` in the folder, which is made with an image that has a folder of this name. */
function makeStart(folder: string, name: string): { readonly file: string; readonly words: readonly string[] } {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'container.yaml');
  writeFileSync(file, TEXT);
  writeFileSync(join(folder, 'image.tar'), smallArchive(name));
  return { file, words: ['up', '--quiet', '--allow', 'all', file] };
}

/**
 * A start whose image is not in the store. What only imports run is no part of what `warmUp` does, so this is run in a process before it,
 * with the same folder and store.
 */
export async function warmUpImport(folder: string, name = 'bin'): Promise<void> {
  try {
    await main(['--ended', ...makeStart(folder, name).words]);
  } catch {
    // See `warmUp`.
  }
}

/**
 * To be run in a process whose home and store are below `folder`, and whose descriptors 3 and 4 are empty files, as if the
 * program `boxctl` had started a container that was killed (front.ts). Never throws: a build must not depend on the machine that
 * it runs on. The cache then lacks what did not run.
 */
export async function warmUp(folder: string): Promise<void> {
  try {
    const file = join(folder, 'container.yaml');
    const words = ['up', '--quiet', '--allow', 'all', file];
    await main(['--ended', ...words]);
    await warmUpRest(words, file);
  } catch {
    // See above.
  }
}

/**
 * What `exec` does. The container in the background that is made for it has never run, and stays for commands that look at
 * containers (src/build.mjs). To be called after `warmUp`, with the same folder.
 */
export async function warmUpExec(folder: string): Promise<void> {
  try {
    const document = loadSpecText(TEXT, join(folder, 'container.yaml'), { env: { HOME: '/' }, home: '/' });
    const host = gatherHostFacts(process.env);
    const image = { ...IMAGE, ownership: ownershipFor(document, host) };
    const model = compile(document, image, host, {});
    const made = { plan: planContainer(model, image, host), model, image };
    makeFolders(folderOf(host), 0o700);
    const { lock } = makePlace(host, recordOf(document, model, '0123456789ab'), made, startedFrom(document, image, {}));
    closeSync(lock);
    await main(['exec', document.spec.name, 'true']);
    const { plan } = planExecFor(host, model, { pid: process.pid, birth: '0' }, { command: ['true'] });
    encodePlan(plan, { terse: true });
  } catch {
    // See above.
  }
}

/** What comes after the command was started. */
async function warmUpRest(words: readonly string[], file: string): Promise<void> {
  const found = namedCommand(words, START_COMMANDS);
  if (found === undefined) return;
  const args = parseArguments(found.command, found.rest);
  const invocation = { args, env: { HOME: '/' }, cwd: '/', commands: START_COMMANDS };
  const keeper = new Keeper(words);
  // Files that were just made keep a plan from being kept: it is kept without them.
  keeper.stop();
  const other = new Keeper(words);
  const messages = keeper.watch(textMessages(wantsColor(2, {}), true));
  const reporter = reporterFor(invocation, 'quiet', messages);
  const document = loadSpecText(TEXT, file, { env: { HOME: '/' }, home: '/' });
  const host = gatherHostFacts(process.env);
  const facts = { ...IMAGE, ownership: ownershipFor(document, host) };
  const model = compile(document, facts, host, {});
  const plan = planContainer(model, facts, host);
  other.stop();
  const run = { document, model, plan: { ...plan, borrowed: [] }, host, image: facts, claims: {} };
  keeper.keep(run, { remake: () => Promise.reject(new Error('no values')), overrides: () => ({}) });
  encodePlan(plan, { gate: true });
  // A plan that was made without one of its files is refused right before the launcher is started.
  const unread: Demand = {
    kind: 'env_file',
    value: '',
    message: '',
    because: { kind: 'default', name: '' },
    unread: true,
  };
  const refused = { model: { ...model, demands: [unread] }, image: facts };
  await runModel(refused, host, { reporter, takesSignals: true, document }).catch(() => undefined);
  // A launcher that has no step to make ends at once.
  await follow({ ...plan, steps: [], reports: [] }, { reporter, takesSignals: true }).catch(() => undefined);
  const kept = keepWhileItRuns({ document, model, plan, host });
  kept.start(process.pid);
  await kept.end();
  const outcome = outcomeOf(plan, reporter.launching(plan));
  messages.ended({ ...endOf({ plan, model, host, outcome }, { reporter }), limits: [] });
}
