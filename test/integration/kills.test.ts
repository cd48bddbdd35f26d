/**
 * Whoever takes part in the life of a container in the background is killed at random moments: boxctl itself, the launcher, the
 * first process, and helpers. Afterwards `ps` tells the truth, the next command works, and in the end nothing is left.
 */
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { box, type Box, type Listed } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self, type Caller } from '../support/container.ts';
import { hostState } from '../support/host-state.ts';
import { settledState } from '../support/network-container.ts';
import { makeLab, whyNoLab, type Lab } from '../support/network-lab.ts';
import { isRoot } from '../support/user.ts';

/** Mulberry32: the same seed gives the same choices. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const seed = Number(process.env['BOXCTL_TEST_SEED'] ?? Date.now() % 2 ** 31);
const random = generator(seed);
const oneOf = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;

const TOTAL = 300;
const OURS = callers.filter(({ title }) => !title.includes('no id but his own'));
/** Each waits about as long as it works. */
const LANES = 3;

const namesIn = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};
const numbers = (folder: string): readonly number[] =>
  namesIn(folder)
    .filter((name) => /^\d+$/u.test(name))
    .map(Number);
const text = (path: string): string => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
};
const children = (pid: number): readonly number[] =>
  numbers(`/proc/${pid}/task`)
    .flatMap((thread) => text(`/proc/${pid}/task/${thread}/children`).split(' '))
    .filter((word) => word !== '')
    .map(Number);

/** All processes of the container, by a variable of its environment. */
const inside = (name: string): readonly number[] =>
  numbers('/proc').filter((pid) => `\0${text(`/proc/${pid}/environ`)}`.includes(`\0KILLED_IN=${name}\0`));

/** The ids of containers of this name that have a folder. */
const idsOf = ({ name, caller }: Box): readonly string[] => {
  const parent = join(caller.store, 'containers');
  return namesIn(parent).filter((id) => text(join(parent, id, 'container.json')).includes(`"name":"${name}"`));
};

/** Launchers that have a file of the container's folder open: that of its lock. */
function launchers(web: Box): readonly number[] {
  const folders = idsOf(web).map((id) => join(web.caller.store, 'containers', id));
  return numbers('/proc').filter((pid) => {
    if (!text(`/proc/${pid}/cmdline`).startsWith('boxctl-launcher')) return false;
    return numbers(`/proc/${pid}/fd`).some((fd) => {
      try {
        const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
        return folders.some((folder) => target.startsWith(folder));
      } catch {
        return false;
      }
    });
  });
}

function kill(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

type Operation = (web: Box) => readonly string[];
const OPERATIONS: Readonly<Record<string, Operation>> = {
  up: () => ['up', '-d'],
  exec: ({ name }) => ['exec', name, 'sh', '-c', 'sleep 0.02; echo >/tmp/x'],
  stop: ({ name }) => ['stop', '-t', '1', name],
  restart: ({ name }) => ['restart', '-t', '1', name],
  start: ({ name }) => ['start', name],
  'cp in': ({ name }) => ['cp', 'container.yaml', `${name}:/tmp/y`],
  'cp out': ({ name }) => ['cp', `${name}:/bin`, 'out'],
  rm: ({ name }) => ['rm', '-f', name],
};
const VICTIMS = ['boxctl', 'launcher', 'first', 'helper'] as const;

async function until<T>(look: () => Promise<T> | T, holds: (seen: T) => boolean, ms = 10_000): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (holds(seen) || Date.now() > end) return seen;
    await sleep(50);
  }
}

/** What `ps` says, and whether that is so. */
async function truth(web: Box): Promise<string> {
  const look = async (): Promise<string> => {
    const listed: Listed | undefined = await web.listed();
    const processes = inside(web.name);
    const runs = listed?.status === 'running';
    if (runs && listed.pid !== undefined && processes.includes(listed.pid)) return 'true';
    if (!runs && listed?.status !== 'starting' && listed?.status !== 'restarting' && processes.length === 0)
      return 'true';
    return `ps: ${JSON.stringify(listed)}, processes: ${processes.join(' ')}`;
  };
  return until(look, (seen) => seen === 'true');
}

interface Round {
  readonly failure: string;
  /** There was somebody to be killed. */
  readonly killed: boolean;
}

async function round(web: Box): Promise<Round> {
  const [what, words] = oneOf(Object.entries(OPERATIONS));
  const victim = oneOf(VICTIMS);
  const after = random() ** 2 * 400;
  const log = `${what}, ${victim} killed after ${after.toFixed(0)} ms`;
  // A command that needs a container that runs has one.
  if (what !== 'up' || random() < 0.5) {
    const { status, stderr } = await web.run(['up', '-d'], { once: 'one of hundreds, each for what is killed then' });
    const isThere = status === 0 || stderr.includes('runs already');
    if (!isThere) return { failure: `${log}: before it, up -d failed: ${stderr}`, killed: false };
    if (what === 'start') await web.run(['stop', '-t', '1', web.name]);
  }
  let child: ChildProcess | undefined;
  const ended = web.run(words(web), { once: 'it is killed at any moment', onStart: (process) => (child = process) });
  await sleep(after);
  const pid = child?.pid ?? 0;
  const own = children(pid);
  const launcher = launchers(web).find((found) => !own.includes(found)) ?? own[0];
  const target = { boxctl: pid, helper: own[0], launcher, first: inside(web.name)[0] }[victim];
  const killed = kill(target);
  if ((await Promise.race([ended, sleep(20_000)])) === undefined)
    return { failure: `${log}: boxctl did not end`, killed };
  const seen = await truth(web);
  return { failure: seen === 'true' ? '' : `${log}: ${seen}`, killed };
}

/** Files of this test's user's store that are attached to loop devices. */
const loops = (): readonly string[] =>
  namesIn('/sys/block').flatMap((name) => {
    const file = text(`/sys/block/${name}/loop/backing_file`).trim();
    return file.startsWith(self.store) ? [file] : [];
  });

interface Place {
  readonly title: string;
  readonly caller: Caller;
  readonly rounds: number;
  /** A network of its own, where all that there is belongs to this test. */
  readonly inLab: boolean;
}

const rounds = Math.ceil(TOTAL / (OURS.length + (whyNoLab() === undefined ? 1 : 0)));
const PLACES: readonly Place[] = [
  ...OURS.map((caller) => ({ title: caller.title, caller, rounds, inLab: false })),
  ...(whyNoLab() === undefined ? [{ title: 'root, with networks', caller: self, rounds, inLab: true }] : []),
];

/** Containers that are worked on side by side. */
function makeLanes({ caller, inLab }: Place, lab: Lab | undefined): readonly Box[] {
  return Array.from({ length: LANES }, (_, at) => {
    const command = ['sh', '-c', 'trap "exit 3" TERM; sleep 1000 & while :; do sleep 0.05; done'];
    const network = inLab ? { network_mode: 'bridge', ports: [`${8080 + at}:80`] } : {};
    const web = box({ command, tmpfs: ['/tmp'], ...network }, caller);
    const file = join(web.folder, 'container.yaml');
    writeFileSync(file, `${readFileSync(file, 'utf8')}environment: {KILLED_IN: ${web.name}}\n`);
    if (lab === undefined) return web;
    const run: Box['run'] = ([first = '', ...words], options) =>
      lab.host.boxctl(
        [first, ...(['up', 'run', 'start'].includes(first) ? ['--allow', 'all'] : []), ...words],
        callerOptions(caller, web.folder, options),
      );
    return { ...web, run };
  });
}

describe.skipIf(!hasBusybox || !isRoot).each(PLACES)(`as $title, by the seed ${seed}`, (place) => {
  test(
    'after any kill `ps` is true, the next command works, and in the end the host is as it was',
    { timeout: 600_000 },
    async () => {
      const { caller } = place;
      const lab = place.inLab ? await makeLab() : undefined;
      onTestFinished(() => lab?.end());
      const lanes = makeLanes(place, lab);
      // What all networks share is made by the first one.
      for (const { run } of lanes) await run(['run', '--', 'true']);
      const state = async (): Promise<readonly object[]> => [
        ...lanes.map(({ name }) => hostState({ ...caller, name })),
        ...(lab === undefined ? [] : [await settledState(lab.host)]),
        { loops: loops() },
      ];
      const before = await state();
      const failures: string[] = [];
      let kills = 0;
      let left = 6 * place.rounds;
      await Promise.all(
        lanes.map(async (web) => {
          while (left-- > 0 && kills < place.rounds && failures.length < 3) {
            const end = await round(web);
            if (end.killed) kills++;
            if (end.failure !== '') failures.push(end.failure);
          }
        }),
      );
      expect(failures, `seed ${seed}`).toEqual([]);
      expect(kills).toBeGreaterThanOrEqual(place.rounds);
      for (const web of lanes) {
        await web.run(['rm', '-f', web.name]);
        // A start sweeps what is left.
        expect(await web.run(['run', '--', 'true'])).toMatchObject({ status: 0 });
        expect(
          await until(
            () => inside(web.name),
            (all) => all.length === 0,
          ),
        ).toEqual([]);
        expect([...idsOf(web), ...launchers(web)]).toEqual([]);
      }
      expect(await state()).toEqual(before);
    },
  );
});
