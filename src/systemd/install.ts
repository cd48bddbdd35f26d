/** Units of systemd in the folders where it looks for them: written, started, and removed again. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import { BoxctlError } from '../errors.ts';
import { lookUp } from '../files/programs.ts';
import { WRITTEN_BY } from './unit.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$/u;

export interface UnitPlace {
  /** `boxctl-web.service`. */
  readonly unit: string;
  /** `boxctl-web.socket`, where the container gets sockets. */
  readonly socket: string;
  readonly folder: string;
  readonly user: boolean;
}

/** For root the system's own folder, and for others, or with `user`, that of the user. */
export function unitPlace(
  name: string,
  user: boolean,
  { env, home }: { readonly env: Readonly<Record<string, string | undefined>>; readonly home: string },
): UnitPlace {
  if (!NAME.test(name)) {
    throw new BoxctlError('E_USAGE', `"${name}" is not a name of a unit`, {
      hint: 'letters, digits, `_`, `.` and `-`: boxctl install --name web',
    });
  }
  const config = env['XDG_CONFIG_HOME'];
  const base = config?.startsWith('/') === true ? config : join(home, '.config');
  const [unit, socket] = [`boxctl-${name}.service`, `boxctl-${name}.socket`];
  return { unit, socket, folder: user ? join(base, 'systemd/user') : '/etc/systemd/system', user };
}

function textAt(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Refuses a file that boxctl has not written. */
function checkOwn(path: string): string | undefined {
  const text = textAt(path);
  if (text === undefined || text.startsWith(WRITTEN_BY)) return text;
  throw new BoxctlError('E_UNIT_FOREIGN', `${path} was not written by boxctl, and stays as it is`, {
    hint: 'choose another name: boxctl install --name NAME',
  });
}

/** `texts` by the names of the units. All of them are boxctl's own, or none is written. Their paths. */
export function writeUnits(folder: string, texts: Readonly<Record<string, string>>): readonly string[] {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const units = Object.entries(texts).map(([unit, text]) => ({ path: join(folder, unit), text }));
  for (const { path } of units) checkOwn(path);
  for (const { path, text } of units) writeWhole(path, text, 0o644);
  return units.map(({ path }) => path);
}

/** Whether there is such a unit of boxctl's. */
export const hasUnit = (folder: string, unit: string): boolean => checkOwn(join(folder, unit)) !== undefined;

export function removeUnit(folder: string, unit: string): void {
  if (hasUnit(folder, unit)) rmSync(join(folder, unit));
}

/** @throws BoxctlError E_SYSTEMCTL where it is not there, or fails */
export function systemctl(user: boolean, words: readonly string[], path: string): void {
  const program = lookUp('systemctl', path).found;
  const args = [...(user ? ['--user'] : []), ...words];
  const line = `systemctl ${args.join(' ')}`;
  if (program === undefined) {
    throw new BoxctlError('E_SYSTEMCTL', `${line} cannot be run: there is no systemctl here`, {
      hint: 'the unit is written; a system with systemd finds it',
    });
  }
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  if (status === 0) return;
  const said = stderr?.trim().split('\n')[0] ?? '';
  throw new BoxctlError(
    'E_SYSTEMCTL',
    `${line} failed: ${said === '' ? (error?.message ?? `status ${status}`) : said}`,
    {
      hint: user ? 'a user’s systemd runs in a session: loginctl enable-linger' : 'is this system run by systemd?',
    },
  );
}
