/** Where boxctl keeps images and records. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from './facts.ts';
import type { HostReader } from './read.ts';
import { followTrusted, isOpenToOthers, type Caller } from './trusted.ts';

type Environment = Readonly<Record<string, string | undefined>>;

function absolute(path: string | undefined): string | undefined {
  return path?.startsWith('/') === true ? path.replace(/\/+$/u, '') : undefined;
}

/**
 * XDG Base Directory; relative values are ignored, as that specification asks. BOXCTL_STORE is boxctl's own variable: whoever
 * sets it means it, so that a relative one is an error.
 */
export function storeFolder(env: Environment, euid: number): string {
  const wanted = env['BOXCTL_STORE'] ?? '';
  const chosen = absolute(wanted);
  if (chosen !== undefined) return chosen === '' ? '/' : chosen;
  if (wanted !== '') {
    throw new BoxctlError('E_STORE_PATH', `BOXCTL_STORE is not an absolute path: ${JSON.stringify(wanted)}`, {
      hint: 'begin it with a slash, so that it is the same store in every folder: BOXCTL_STORE="$PWD/store"',
    });
  }
  if (euid === 0) return '/var/lib/boxctl';
  const home = absolute(env['HOME']);
  const data = absolute(env['XDG_DATA_HOME']) ?? (home === undefined ? undefined : `${home}/.local/share`);
  if (data === undefined) {
    throw new BoxctlError('E_NO_HOME', 'neither HOME nor XDG_DATA_HOME names an absolute folder for the image store', {
      hint: 'set HOME, or BOXCTL_STORE to the folder that the store should be in',
    });
  }
  return `${data}/boxctl`;
}

/** A folder that others can write to would let them make us remove cgroups of their choice. */
export function stateFolder(read: HostReader, env: Environment, euid: number): string {
  // Who is root of a user namespace alone has a /run that is not his.
  if (euid === 0 && read.writable('/run')) return '/run/boxctl';
  const runtime = absolute(env['XDG_RUNTIME_DIR']);
  const folder = runtime !== undefined && read.writable(runtime) ? `${runtime}/boxctl` : `/tmp/boxctl-${euid}`;
  const found = read.folder(folder);
  if (found === null || (found !== undefined && (found.uid !== euid || (found.mode & 0o022) !== 0))) {
    throw new BoxctlError(
      'E_STATE_UNSAFE',
      `${folder} is no folder, belongs to somebody else, or can be written to by others`,
      {
        hint: `remove it, or set XDG_RUNTIME_DIR to a folder that is yours alone (mode 0700)`,
      },
    );
  }
  return folder;
}

/** What the store may have in it: each is a folder of the caller's own. */
const STORE_FOLDERS =
  'layers images documents names ids upper tmp locks mnt partial volumes id-ranges plans containers'.split(' ');

/** Images and volumes are used as they lie there, by whoever may be root: they must be the caller's own work. */
function checkedStore(read: HostReader, named: string, caller: Caller): string {
  const unsafe = (problem: string): BoxctlError =>
    new BoxctlError('E_STORE_UNSAFE', `the image store ${named} is not used: ${problem}`, {
      hint: 'set BOXCTL_STORE to a folder of your own, which others cannot write to or exchange (chmod go-w)',
    });
  const { path, problem } = followTrusted(named, caller, (at) => read.entry(at));
  if (problem !== undefined) throw unsafe(problem);
  const check = (at: string): boolean => {
    const found = read.entry(at);
    if (found === undefined) return false;
    if (found.uid !== caller.euid) throw unsafe(`${at} belongs to the user ${found.uid}`);
    if (found.kind === 'link') throw unsafe(`${at} is a symbolic link`);
    if (found.kind !== 'folder') throw unsafe(`${at} is not a folder`);
    // In a folder such as /tmp, others can neither exchange nor remove what is the caller's.
    const isSticky = (found.mode & 0o1000) !== 0;
    if (isOpenToOthers(found, caller) && !isSticky) throw unsafe(`others can write to ${at}`);
    return true;
  };
  // The root of the file system, say, is told to be no store when it is to become one.
  if (STORE_FOLDERS.some((name) => read.entry(`${path}/${name}`) !== undefined)) {
    check(path);
    for (const name of STORE_FOLDERS) check(`${path}/${name}`);
  }
  return path;
}

function checkedState(read: HostReader, named: string, caller: Caller): string {
  const { problem } = followTrusted(named, caller, (at) => read.entry(at));
  const found = read.entry(named);
  const own = found === undefined || (found.kind === 'folder' && found.uid === caller.euid);
  if (problem === undefined && own && (found === undefined || !isOpenToOthers(found, caller))) return named;
  throw new BoxctlError('E_STATE_UNSAFE', `${named} is not used: ${problem ?? 'it is not a folder of your own'}`, {
    hint: 'remove it, or set XDG_RUNTIME_DIR to a folder that is yours alone (mode 0700)',
  });
}

export function gatherFolders(read: HostReader, env: Environment, caller: Caller): HostFacts['dirs'] {
  return {
    store: checkedStore(read, storeFolder(env, caller.euid), caller),
    state: checkedState(read, stateFolder(read, env, caller.euid), caller),
  };
}
