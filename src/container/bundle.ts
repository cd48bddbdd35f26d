/**
 * A container written down as an OCI bundle (bundle.md of the runtime specification), for other runtimes to run: its
 * configuration, and a copy of the image, because they know nothing of boxctl's store and write into the root they get.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { FILES, writeParts } from './bundle-parts.ts';
import { makeFolders } from '../files/folders.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts, Ownership } from '../model/image.ts';
import { copyImage, removeTree } from '../worker/work.ts';
import type { OciConfig, OciIdMapping, OciMount } from '../oci/config.ts';
import { ociConfig } from '../model/as-oci.ts';
import { placeOf } from '../model/because.ts';
import type { Model } from '../model/model.ts';

const ROOT = 'rootfs';
const CONFIG = 'config.json';

export interface BundleReport {
  /** The number of the image's device nodes that the copy lacks: mknod(2) fails in a user namespace. */
  readonly devices: number;
  /** How the bundle differs from what boxctl does: sentences without a full stop. */
  readonly differs: readonly string[];
}

/** Devices that every runtime makes unasked (config-linux.md, "Default Devices"). */
const UNASKED = new Set(
  ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'console', 'ptmx'].map((name) => `/dev/${name}`),
);

/** A new or an empty folder: what a person has there is never mixed with the bundle. */
function claim(dir: string): { readonly isNew: boolean } {
  if (!existsSync(dir)) {
    makeFolders(dir, 0o700);
    return { isNew: true };
  }
  if (!statSync(dir).isDirectory()) {
    throw new BoxctlError('E_BUNDLE_NOT_A_FOLDER', `${dir} is not a folder`, {
      hint: 'give a folder that is not there',
    });
  }
  if (readdirSync(dir).length > 0) {
    throw new BoxctlError('E_BUNDLE_NOT_EMPTY', `${dir} is not empty`, { hint: 'give an empty folder, or a new one' });
  }
  return { isNew: false };
}

/** The folder as it was before the bundle, of which a part would look like a whole one. */
async function giveUp(dir: string, isNew: boolean, maps: Ownership | undefined, host: HostFacts): Promise<void> {
  try {
    // What was copied by mapped ids is the caller's to remove by the map alone.
    await removeTree(dir, ROOT, host.privileged ? undefined : maps, host);
    rmSync(join(dir, CONFIG), { force: true });
    rmSync(join(dir, FILES), { recursive: true, force: true });
    if (isNew) rmdirSync(dir);
  } catch {
    // The error that is thrown already is the one that a person must see.
  }
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
 * The configuration for a runtime that is not boxctl, without the devices that it makes anyway: in a user namespace crun
 * would take the host’s nodes for those that are listed, and give them to the container’s root.
 */
function forOthers(model: Model, mounts: readonly OciMount[]): OciConfig {
  const config = ociConfig(model);
  const { devices, ...linux } = config.linux;
  const others = (devices ?? []).filter((device) => !UNASKED.has(device.path));
  return {
    ...config,
    root: { ...config.root, path: ROOT },
    mounts: [...mounts],
    linux: { ...linux, ...(others.length > 0 ? { devices: others } : {}) },
  };
}

/** RLIM_INFINITY is a number of 64 bits to others. Within a text, a quotation mark would have a backslash before it. */
function configText(config: OciConfig): string {
  return JSON.stringify(config, null, 2).replaceAll(/(?<=^ +"(?:soft|hard)": )"unlimited"/gmu, '18446744073709551615');
}

/** What other runtimes could not keep: that a volume is filled, and not removed while it is in use. */
function checkMounts({ mounts }: Model): void {
  const volume = mounts.find(({ kind }) => kind === 'volume');
  if (volume === undefined) return;
  const at = placeOf(volume.because);
  throw new BoxctlError('E_BUNDLE_VOLUME', 'a bundle cannot have a volume of boxctl’s own', {
    hint: 'bind a folder of the host instead: ./NAME',
    ...(at === undefined ? {} : { at }),
  });
}

/**
 * Writes `config.json` and `rootfs/` into `dir`, an absolute path. `init` has no word in the OCI's configuration: the
 * command is PID 1 there. boxctl shows an image under other owners by an id-mapped mount; the OCI has no such thing for
 * the root, so the copy's owners are those of the host. After a failure `dir` is as it was.
 *
 * @throws BoxctlError `E_BUNDLE_…` where the folder is taken, `E_IMAGE_COPY` where the copy fails.
 */
export async function writeBundle(
  model: Model,
  image: ImageFacts,
  host: HostFacts,
  dir: string,
): Promise<BundleReport> {
  checkMounts(model);
  const { isNew } = claim(dir);
  const maps = mapsOf(model);
  try {
    return await fill(dir, model, image, host, maps);
  } catch (error) {
    await giveUp(dir, isNew, maps, host);
    throw error;
  }
}

function mapsOf({ config }: Model): Ownership | undefined {
  const { uidMappings, gidMappings } = config.linux;
  return uidMappings === undefined || gidMappings === undefined
    ? undefined
    : { uidMap: uidMappings.map(toIdMap), gidMap: gidMappings.map(toIdMap) };
}

async function fill(
  dir: string,
  model: Model,
  image: ImageFacts,
  host: HostFacts,
  maps: Ownership | undefined,
): Promise<BundleReport> {
  for (const path of model.mounts.flatMap((mount) => (mount.kind === 'bind' ? mount.create : []))) {
    makeFolders(path, 0o755);
  }
  const rootfs = join(dir, ROOT);
  mkdirSync(rootfs, { mode: 0o755 });
  const { uidMappings, gidMappings } = model.config.linux;
  const owner =
    host.privileged && uidMappings !== undefined && gidMappings !== undefined
      ? { uid: toHost(uidMappings, 0) ?? 0, gid: toHost(gidMappings, 0) ?? 0 }
      : undefined;
  if (owner !== undefined) chownSync(rootfs, owner.uid, owner.gid);
  const { mounts, differs } = writeParts(dir, model, image, owner);
  const devices = await copyImage(image, host, maps, rootfs);
  writeFileSync(join(dir, CONFIG), `${configText(forOthers(model, mounts))}\n`, {
    mode: 0o644,
    flag: 'wx',
  });
  if (host.privileged && gidMappings !== undefined) letPass(dir, gidMappings);
  return { devices, differs };
}

const toIdMap = (map: OciIdMapping) => ({ container: map.containerID, host: map.hostID, size: map.size });

/** The host's id for one of the container's; an id that is not mapped has none. */
function toHost(maps: readonly OciIdMapping[], id: number): number | undefined {
  const map = maps.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return map === undefined ? undefined : map.hostID + (id - map.containerID);
}
