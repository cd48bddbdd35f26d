/** The layers of an image, mounted once for many containers of this process. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import type { HostFacts } from '../host/facts.ts';
import { identityOf } from '../image/identity.ts';
import { MAX_KEPT_FDS } from '../kernel/wire.ts';
import type { ImageFacts, Layer } from '../model/image.ts';
import { mountIndex } from '../native.ts';

type Index = Layer & { readonly kind: 'erofs' };

/** The user's own archive, if it is still the one that the plan was made for. */
function openData({ data, identity }: Index): number | undefined {
  const fd = openSync(data, constants.O_RDONLY | constants.O_NOFOLLOW);
  if (identityOf(fstatSync(fd, { bigint: true })) === identity) return fd;
  closeSync(fd);
  return undefined;
}

function mountLayer(layer: Index): number | undefined {
  if (layer.identity === undefined) return mountIndex(layer.index, layer.data);
  const data = openData(layer);
  if (data === undefined) return undefined;
  try {
    return mountIndex(layer.index, data);
  } finally {
    closeSync(data);
  }
}

/** More are no image of the kind that is started many times, and a launcher is not given any number of descriptors. */
const MOST = MAX_KEPT_FDS / 2;

/**
 * A detached mount of each layer, for `PlanOptions.mounted`; the descriptors are the caller's to close. A container gets a copy of
 * each: what the kernel has of the image's files in memory is then the same for all, and nothing is read and checked again.
 * Undefined where an image is not made of indexes, or the kernel does not do it: each container mounts it by itself then, and tells
 * what is wrong with it.
 */
export function holdLayers({ layers }: ImageFacts, host: HostFacts): readonly number[] | undefined {
  if (!host.privileged || !host.erofs.usable || host.erofs.loop || layers.length > MOST) return undefined;
  const mounts: number[] = [];
  try {
    for (const layer of layers) {
      const mount = layer.kind === 'erofs' ? mountLayer(layer) : undefined;
      if (mount === undefined) break;
      mounts.push(mount);
    }
  } catch {
    // It cannot be mounted.
  }
  if (mounts.length === layers.length && layers.length > 0) return mounts;
  for (const mount of mounts) closeSync(mount);
  return undefined;
}
