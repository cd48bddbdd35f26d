/**
 * Makes each step of a container's network fail in turn, in the network namespace that it is started in, and prints what then
 * was not as before: `ID: WHAT` for each, and `STEPS n`.
 *   node network-faults.mjs LIBRARY CONTAINER_YAML
 */
import { execFileSync } from 'node:child_process';
import { existsSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , library, file] = process.argv;
const { launch, loadSpec, planContainer, prepare, SILENT } = await import(library);

const document = loadSpec(file, { env: process.env, home: process.env.HOME });
const { gatherHostFacts } = await import(library);
const host = gatherHostFacts(process.env);
const prepared = await prepare(document, { host, reporter: SILENT, judge: () => undefined, takesSignals: false });
const plan = planContainer(prepared.model, prepared.image, prepared.host);

const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8' });
const list = (folder) => (existsSync(folder) ? readdirSync(folder) : []);
const settings = ['/proc/sys/net/ipv4/conf/up0/forwarding', '/proc/sys/net/ipv6/conf/up0/force_forwarding'];
const { state } = prepared.host.networking;

const isRoot = process.geteuid() === 0;
function isProgram(pid) {
  try {
    const isOne = readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('slirp4netns\0');
    return isOne && readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net');
  } catch {
    return false;
  }
}

function look() {
  return {
    links: run('ip', '-o', 'link').replaceAll(/ state .*/g, ''),
    routes: run('ip', 'route', 'show', 'table', 'all'),
    routes6: run('ip', '-6', 'route', 'show', 'table', 'all').replaceAll(/ expires \d+sec/g, ''),
    // Handles and counters differ, and the shared table stays.
    rules: isRoot ? run('nft', '-s', 'list', 'ruleset') : '',
    // Of an ordinary user: what carries the packets.
    programs: list('/proc').filter((pid) => /^\d+$/.test(pid) && isProgram(pid)),
    sockets: run('ss', '-Htuln'),
    settings: settings.filter(existsSync).map((path) => readFileSync(path, 'utf8')),
    locks: list(join(state, 'forwarding')),
    records: list(prepared.host.dirs.state).filter((name) => name.startsWith(`${plan.name}-`)),
  };
}

const nowhere = openSync('/dev/null', 'r+');
function launchOnce(one) {
  // The launcher removes the claim of a container that has ended. An ordinary user has none.
  if (prepared.model.network.driver === 'veth')
    writeFileSync(join(state, 'addresses', String(prepared.model.network.index)), '');
  return launch(one, { stdio: [nowhere, nowhere, nowhere] }).done;
}

async function settled(before) {
  // The kernel removes interfaces, and what belongs to them, in its own time.
  for (let tries = 0; tries < 100; tries++) {
    if (JSON.stringify(look()) === before) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

// The first start makes the table that all share.
await launchOnce(plan);
await settled('');
const before = JSON.stringify(look());
let count = 0;
for (const [index, step] of plan.steps.entries()) {
  if (step.group !== 'network') continue;
  count++;
  const call = { name: 'chdir', args: { path: '/no/such/place' } };
  const { messageReasons: _, publishes: __, mends: ___, dependent: ____, ...rest } = step;
  const steps = plan.steps.toSpliced(index, 0, { ...rest, id: 'fails', call, undo: 'none' });
  const { kind, failed, undoFailures } = await launchOnce({ ...plan, steps });
  if (kind !== 'failed' || failed?.index !== index)
    console.log(`${step.id}: ended as ${kind} at ${failed?.index} ${JSON.stringify(failed)}`);
  if (undoFailures.length > 0) console.log(`${step.id}: not undone ${JSON.stringify(undoFailures)}`);
  if (!(await settled(before))) console.log(`${step.id}: left ${JSON.stringify(look())}, not ${before}`);
}
prepared.claims.release();
console.log(`STEPS ${count}`);
