/** Devices of the host that the container may use. */
import { closeSync, constants, fstatSync, type Stats } from 'node:fs';
import { accessSync } from '../inputs/outside.ts';
import type { ContainerFile } from '../generated/container.ts';
import { deviceNumbers } from '../kernel/device-number.ts';
import { clip, each, hostPath, addProblem, type Context } from './context.ts';
import { openUnlinked, realPath, whyNot } from '../files/read.ts';
import type { Device, Spec } from './spec.ts';
import type { SpecPath } from './spec-path.ts';
import { insidePath } from './values.ts';

type Written = NonNullable<ContainerFile['devices']>[number];

export function normaliseDevices(
  context: Context,
  raw: ContainerFile['devices'],
  volumes: Spec['volumes'],
): readonly Device[] {
  const devices = each(context, raw ?? [], 'devices').flatMap(([item, path]) => {
    const device = deviceOf(context, item, path);
    return device === undefined ? [] : [device];
  });
  refuseDuplicates(context, devices, volumes);
  return devices;
}

function deviceOf(context: Context, item: Written, path: `devices.${number}`): Device | undefined {
  const long = typeof item !== 'string';
  const [source, target, permissions] = long ? [item.source, item.target, item.permissions] : parts(item);
  const at = (key: string): string => (long ? `${path}.${key}` : path);
  if (permissions !== undefined && !/^[rwm]+$/.test(permissions)) {
    addProblem(
      context,
      at('permissions'),
      'E_SPEC_DEVICE',
      `permissions are letters of r, w and m; found "${clip(permissions)}"`,
      {
        hint: 'a device is HOST[:CONTAINER[:rw]]',
      },
    );
  }
  if (/[*?[]/.test(source)) {
    addProblem(context, at('source'), 'E_SPEC_DEVICE', `each device is named by itself; found "${clip(source)}"`);
    return undefined;
  }
  const named = hostPath(context, source);
  const inside = insidePath(context, target ?? named, at(target === undefined ? 'source' : 'target'));
  const real = realPath(named);
  const status = statusOf(context, source, real, at('source'));
  const fits = inside !== undefined && checkTarget(context, inside, at(target === undefined ? 'source' : 'target'));
  if (!fits || status === undefined) return undefined;
  const read = permissions?.includes('r') ?? true;
  const write = permissions?.includes('w') ?? true;
  checkAccess(context, real, read, write, at('source'));
  return {
    source: real,
    target: inside,
    type: status.isBlockDevice() ? 'b' : 'c',
    ...deviceNumbers(status.rdev),
    mode: status.mode & 0o666,
    read,
    write,
    mknod: permissions?.includes('m') ?? true,
    specPath: path,
  };
}

/** HOST, HOST:rw, HOST:CONTAINER, HOST:CONTAINER:rw */
function parts(text: string): readonly [string, string | undefined, string | undefined] {
  const [source = '', second, ...rest] = text.split(':');
  if (second !== undefined && rest.length === 0 && !second.includes('/')) return [source, undefined, second];
  return [source, second, rest.length === 0 ? undefined : rest.join(':')];
}

/** The status of the device at `real`. A link that was put there since is not followed. */
function statusOf(context: Context, source: string, real: string, path: string): Stats | undefined {
  try {
    const fd = openUnlinked(real);
    const status = fstatSync(fd);
    closeSync(fd);
    if (status.isCharacterDevice() || status.isBlockDevice()) return status;
    addProblem(context, path, 'E_SPEC_DEVICE', `"${clip(source)}" is no device`, {
      hint: status.isDirectory() ? 'name each device of the folder by itself' : 'a file is given under `volumes`',
    });
  } catch (error) {
    const { problem } = whyNot(error);
    addProblem(context, path, 'E_SPEC_MISSING_FILE', `the device "${clip(source)}" cannot be used: ${problem}`);
  }
  return undefined;
}

const TAKEN = new Set(
  'console fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' '),
);

/** A device must be in /dev: all other mounts have `nodev`. */
function checkTarget(context: Context, target: string, path: string): boolean {
  const [, dev, name] = target.split('/');
  if (dev !== 'dev' || name === undefined) {
    addProblem(context, path, 'E_SPEC_DEVICE', `devices work in /dev alone; found "${clip(target)}"`, {
      hint: `HOST:/dev/${clip(target.split('/').at(-1) ?? '')}`,
    });
    return false;
  }
  if (!TAKEN.has(name)) return true;
  addProblem(context, path, 'E_SPEC_DEVICE', `/dev/${name} is the container's own`, {
    hint: 'give it another name inside',
  });
  return false;
}

/** Root may open all of them. */
function checkAccess(context: Context, path: string, read: boolean, write: boolean, at: string): void {
  if (context.review) return;
  try {
    accessSync(path, (read ? constants.R_OK : 0) | (write ? constants.W_OK : 0));
  } catch {
    const what = [...(read ? ['read'] : []), ...(write ? ['write'] : [])].join(' and ');
    addProblem(context, at, 'E_SPEC_DEVICE', `you may not ${what} ${clip(path)}, and so the container could not`, {
      hint: 'be added to its group, or run boxctl as root',
    });
  }
}

function refuseDuplicates(context: Context, devices: readonly Device[], volumes: Spec['volumes']): void {
  const taken = new Map<string, SpecPath>(volumes.map(({ target, specPath }) => [target, specPath]));
  for (const { target, specPath } of devices) {
    const first = taken.get(target);
    if (first !== undefined) {
      const at = context.paths.where(first);
      const line = at === undefined ? '' : ` of line ${context.problems.position(at).line}`;
      const message = `\`${specPath}\` is at ${clip(target)}, as \`${first}\`${line} is already`;
      addProblem(context, specPath, 'E_SPEC_DUPLICATE_TARGET', message);
    }
    taken.set(target, specPath);
  }
}
