/**
 * A container written down as an OCI bundle (bundle.md of the runtime specification), for other runtimes to run: its
 * configuration, and a copy of the image, because they know nothing of boxctl's store and write into the root they get.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { ImageFacts } from '../image/image.ts';
import type { OciConfig, OciIdMapping } from './config.ts';
import type { Model } from './model.ts';
import { checkOwners, shiftOwners, toHost } from './owners.ts';

const ROOT = 'rootfs';

/** Devices that every runtime makes unasked (config-linux.md, "Default Devices"). */
const UNASKED = new Set(
  ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'console', 'ptmx'].map((name) => `/dev/${name}`),
);

/** A new or an empty folder: what a person has there is never mixed with the bundle. */
function claim(dir: string): void {
  if (!existsSync(dir)) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return;
  }
  if (!statSync(dir).isDirectory()) {
    throw new BoxctlError('E_BUNDLE_NOT_A_FOLDER', `${dir} is not a folder`, {
      hint: 'give a folder that is not there',
    });
  }
  if (readdirSync(dir).length > 0) {
    throw new BoxctlError('E_BUNDLE_NOT_EMPTY', `${dir} is not empty`, { hint: 'give an empty folder, or a new one' });
  }
}

/** Owners, modes, times, hard links and device nodes are kept; where the file system can, the data is shared. */
function copyTree(from: string, to: string): void {
  mkdirSync(to, { mode: 0o755 });
  const { status, stderr, error } = spawnSync('cp', ['-a', '--reflink=auto', '--', `${from}/.`, to], {
    encoding: 'utf8',
  });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split('\n', 1)[0] ?? '';
  throw new BoxctlError('E_BUNDLE_COPY', `the image could not be copied to ${to}: ${reason}`, {
    hint: 'is there room on that file system, and may you write there?',
    ...(error === undefined ? {} : { cause: error }),
  });
}

/**
 * The container's root is nobody on the host and has to reach its files; others, whom set-user-id programs of the image
 * could serve, have not (CVE-2021-41103).
 */
function letPass(dir: string, maps: readonly OciIdMapping[]): void {
  const { mode, uid } = statSync(dir);
  const group = toHost(maps, 0);
  if ((mode & 0o001) !== 0 || group === undefined) return;
  chownSync(dir, uid, group);
  chmodSync(dir, (mode & 0o700) | 0o010);
}

/**
 * The configuration for a runtime that is not boxctl. A default device that is listed is for runc no longer a default
 * one, and its cgroup refuses it.
 */
function forOthers(config: OciConfig): OciConfig {
  const { devices, ...linux } = config.linux;
  const others = (devices ?? []).filter((device) => !UNASKED.has(device.path));
  const rules = others.map(({ type, major, minor }) => ({ allow: true, type, major, minor, access: 'rwm' }));
  return {
    ...config,
    root: { ...config.root, path: ROOT },
    linux: {
      ...linux,
      ...(others.length > 0 ? { devices: others } : {}),
      resources: { ...linux.resources, devices: [{ allow: false, access: 'rwm' }, ...rules] },
    },
  };
}

/** RLIM_INFINITY is a number of 64 bits to others. Within a text, a quotation mark would have a backslash before it. */
function configText(config: OciConfig): string {
  return JSON.stringify(config, null, 2).replaceAll(/(?<=^ +"(?:soft|hard)": )"unlimited"/gmu, '18446744073709551615');
}

/** What other runtimes could not keep: that a volume is filled, and not removed while it is in use. */
function checkMounts(model: Model): void {
  for (const [index, { volume }] of model.mountNotes) {
    if (volume === undefined) continue;
    const because = model.because(`mounts.${index}`);
    const at = because.kind === 'spec' ? because.at : undefined;
    throw new BoxctlError('E_BUNDLE_VOLUME', 'a bundle cannot have a volume of boxctl’s own', {
      hint: 'bind a folder of the host instead: ./NAME',
      ...(at === undefined ? {} : { at }),
    });
  }
}

/**
 * Writes `config.json` and `rootfs/` into `dir`, an absolute path. `init` has no word in the OCI's configuration: the
 * command is PID 1 there.
 *
 * @throws BoxctlError `E_BUNDLE_…` where the folder is taken, the copy fails, or its owners cannot be kept.
 */
export function writeBundle(model: Model, image: ImageFacts, dir: string): void {
  const root = process.geteuid?.() === 0;
  checkMounts(model);
  if (!root) checkOwners(image.rootfs);
  claim(dir);
  for (const { create } of model.mountNotes.values()) {
    for (const path of create) mkdirSync(path, { recursive: true, mode: 0o755 });
  }
  const rootfs = join(dir, ROOT);
  copyTree(image.rootfs, rootfs);
  const { uidMappings, gidMappings } = model.config.linux;
  // boxctl shows an image under other owners by an id-mapped mount; the OCI has no such thing for the root.
  if (root && image.ownership === undefined && uidMappings !== undefined && gidMappings !== undefined) {
    shiftOwners(rootfs, uidMappings, gidMappings);
    letPass(dir, gidMappings);
  }
  writeFileSync(join(dir, 'config.json'), `${configText(forOthers(model.config))}\n`, {
    mode: 0o644,
    flag: 'wx',
  });
}
