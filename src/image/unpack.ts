/** The real hooks: unpacking and removing by the launcher, in a process that sees nothing but the tree. */
import { chownSync, closeSync, constants, createReadStream, createWriteStream, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { Plan } from '../plan/plan.ts';
import { planRemove, planUnpack } from '../plan/unpack.ts';
import { launch } from '../run/launch.ts';
import type { Outcome } from '../run/launch.ts';
import { pipe, readInRoot, tryLock } from '../run/native.ts';
import type { ImageHooks, UnpackReport } from './hooks.ts';
import type { Ownership } from './image.ts';
import { parseReport } from './report.ts';

/** More than the unpacker ever writes: a line with one path. */
const MAX_REPORT = 64 * 1024;

export function imageHooks(host: HostFacts, onProgress?: ImageHooks['onProgress']): ImageHooks {
  return {
    unpack(target, ownership) {
      if (host.euid === 0 && ownership !== undefined) {
        // The root of the maps must own what it fills. An ordinary user's map has the user itself as root.
        chownSync(target, rootOf(ownership.uidMap), rootOf(ownership.gidMap));
      }
      const plan = planUnpack({ target, ownership, host });
      const [inputEnd, input] = pipe();
      const [report, reportEnd] = pipe();
      const nowhere = openSync('/dev/null', constants.O_WRONLY);
      const outcome = start(plan, [inputEnd, nowhere, reportEnd]);
      for (const fd of [inputEnd, nowhere, reportEnd]) closeSync(fd);
      return {
        input: createWriteStream('', { fd: input, highWaterMark: 1 << 20 }),
        done: finish(plan, outcome, report),
      };
    },
    async remove(folder, name, ownership) {
      const plan = planRemove({ parent: folder, name, ownership, host });
      const nothing = openSync('/dev/null', constants.O_RDWR);
      const outcome = start(plan, [nothing, nothing, nothing]);
      closeSync(nothing);
      const end = await outcome;
      if (end.kind !== 'exited' || end.status !== 0) throw launchFailure(plan, end);
    },
    tryLock: (fd) => tryLock(fd, true),
    readText,
    ...(onProgress === undefined ? {} : { onProgress }),
  };
}

/** What an image has in the place of a file (a loop of links, 10 GiB of nothing) is no reason not to import it. */
export function readText(rootfs: string, path: string, maxBytes: number): string {
  try {
    return readInRoot(rootfs, path, maxBytes)?.toString('utf8') ?? '';
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return '';
    throw error;
  }
}

const rootOf = (maps: Ownership['uidMap']): number => maps.find((map) => map.container === 0)?.host ?? 0;

/** A launch whose failure to start is found where its end is awaited. */
async function start(plan: Plan, stdio: readonly [number, number, number]): Promise<Outcome> {
  return launch(plan, { stdio, interpreter: 'imager' }).done;
}

async function finish(plan: Plan, outcome: Promise<Outcome>, report: number): Promise<UnpackReport> {
  const [end, text] = await Promise.all([outcome, readAll(report)]);
  const parsed = parseReport(text);
  if (parsed !== undefined && end.kind === 'exited') return parsed;
  throw launchFailure(plan, end);
}

async function readAll(fd: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of createReadStream('', { fd })) {
    if (!Buffer.isBuffer(part)) continue;
    size += part.length;
    if (size <= MAX_REPORT) parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function launchFailure(plan: Plan, end: Outcome): BoxctlError {
  const what = plan.name === 'unpack' ? 'The image cannot be unpacked' : 'A tree in the image store cannot be removed';
  if (end.failed !== undefined) {
    const { index, errno } = end.failed;
    const name = errno > 0 ? getSystemErrorName(-errno) : 'no errno';
    const step = plan.steps[index];
    const at = step === undefined ? 'a step' : `${step.call.name} (step ${step.id})`;
    return new BoxctlError('E_IMAGE_UNPACK', `${what}: ${at} failed with ${name}`);
  }
  const how = end.kind === 'signaled' ? `ended by signal ${end.signal}` : `ended with status ${end.status}`;
  return new BoxctlError('E_IMAGE_UNPACK', `${what}: the worker ${how}`);
}
