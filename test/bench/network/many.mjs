/** What a packet and a start cost with 1, 100 and 1,000 containers that have a network each. */
import { readFileSync } from 'node:fs';
import {
  background,
  document,
  env,
  gatherHostFacts,
  HOST,
  launch,
  measure,
  pause,
  planContainer,
  PORT,
  prepare,
  quantile,
  runContainer,
  say,
  SILENT,
  startContainer,
  WORLD,
} from './place.mjs';

const COUNTS = [1, 100, 1000];
const TRIPS = 3000;
const STREAM_MS = 700;
const STARTS = 15;
/** Of the kernel's: it takes down the last container's network in the background, which would delay the next start. */
const PAUSE_MS = 60;
const WORLDS = ['ip', 'netns', 'exec', 'world'];

/** What the steps of a network's start took in the launcher, in ms. */
async function stepsOf({ store }, { loaded }) {
  const all = { ...env, BOXCTL_STORE: store };
  const options = {
    host: gatherHostFacts(all),
    env: all,
    reporter: SILENT,
    judge: () => undefined,
    takesSignals: false,
  };
  const prepared = await prepare(loaded, options);
  const plan = planContainer(prepared.model, prepared.image, prepared.host);
  let ns = 0;
  const onEvent = (event) => {
    if (event.kind === 'step' && plan.steps[event.index].group === 'network') ns += event.endNs - event.startNs;
  };
  await launch(plan, { onEvent }).done;
  prepared.claims.release();
  return ns / 1e6;
}

export async function many(files, rounds) {
  const { roundtrip, store } = files;
  const own = { ...env, BOXCTL_STORE: store };
  const serve = ['/bin/roundtrip', 'serve', String(PORT)];
  const ended = [background([...WORLDS, roundtrip, 'serve', String(PORT)])];
  const keys = { network_mode: 'bridge' };
  const server = await startContainer(
    files,
    document(files, 'many-server', { ...keys, ports: ['8080:7'], command: serve }),
  );
  const inside = ['nsenter', `--net=/proc/${server.pid}/ns/net`];
  const idle = document(files, 'many-idle', { ...keys, command: ['/bin/sleep', '100000'] });
  const short = {
    none: document(files, 'many-none', { command: ['/bin/true'] }),
    bridge: document(files, 'many-bridge', { ...keys, command: ['/bin/true'] }),
  };
  const containers = [];
  const results = {};
  for (const count of COUNTS) {
    while (containers.length + 1 < count) containers.push(await startContainer(files, idle));
    await pause(2000);
    const add = (name, unit, value) => ((results[name] ??= { unit, values: {} }).values[count] ??= []).push(value);
    for (let round = 0; round < rounds; round++) {
      add('a round trip to the world', 'µs', measure(inside, roundtrip, 'trips', WORLD, PORT, TRIPS));
      add('a stream to the world', 'Gbit/s', measure(inside, roundtrip, 'sends', WORLD, PORT, STREAM_MS));
      add('a round trip to a published port', 'µs', measure(WORLDS, roundtrip, 'trips', HOST, 8080, TRIPS));
    }
    for (let start = 0; start < STARTS; start++) {
      for (const [name, one] of Object.entries(short)) {
        await pause(PAUSE_MS);
        const from = performance.now();
        await runContainer(one.loaded, { env: own, judge: () => undefined });
        add(`a start from the library, ${name}`, 'ms', performance.now() - from);
      }
      await pause(PAUSE_MS);
      add('the network’s steps of a start, in the launcher', 'ms', await stepsOf(files, short.bridge));
    }
  }
  const addresses = readFileSync('/proc/net/route', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('boxctl'));
  say(`With 1, 100 and 1,000 containers (${new Set(addresses).size} routes in the end): medians`, ...COUNTS);
  for (const [name, { unit, values }] of Object.entries(results)) {
    say(`  ${name}, ${unit}`, ...COUNTS.map((count) => quantile(values[count]).toFixed(unit === 'ms' ? 2 : 1)));
  }
  for (const one of [...containers, server]) await one.end();
  for (const one of ended) one.end();
}
