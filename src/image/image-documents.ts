/** Configurations and manifests that boxctl writes itself: the same image gives the same bytes, on every machine. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Compression } from '../plan/image-work.ts';
import type { Descriptor } from '../registry/protocol.ts';
import { isRecord } from '../text/json.ts';
import { hostPlatform, type Arch } from './platform.ts';

export type Json = Readonly<Record<string, unknown>>;

const oci = (name: string): string => `application/vnd.oci.image.${name}`;

export const MEDIA = {
  config: oci('config.v1+json'),
  manifest: oci('manifest.v1+json'),
  index: oci('index.v1+json'),
  layer: {
    none: oci('layer.v1.tar'),
    gzip: oci('layer.v1.tar+gzip'),
    zstd: oci('layer.v1.tar+zstd'),
  } satisfies Record<Compression, string>,
} as const;

/** How a layer of a media type is compressed; undefined for one that is not known. */
export function compressionOf(mediaType: string): Compression | undefined {
  if (/^application\/vnd\.docker\.image\.rootfs\.diff\.tar(?:\.gzip)?$/u.test(mediaType)) {
    return mediaType.endsWith('gzip') ? 'gzip' : 'none';
  }
  if (!mediaType.startsWith(oci('layer.v1.tar'))) return undefined;
  const end = mediaType.slice(oci('layer.v1.tar').length);
  return end === '' ? 'none' : end === '+gzip' ? 'gzip' : end === '+zstd' ? 'zstd' : undefined;
}

/** e_machine of elf(5) in Go's words; a big-endian one has 65536 more. */
const MACHINES: ReadonlyMap<number, string> = new Map([
  [3, '386'],
  [40, 'arm'],
  [62, 'amd64'],
  [183, 'arm64'],
  [243, 'riscv64'],
  [21, 'ppc64le'],
  [8, 'mips64le'],
  [65536 + 22, 's390x'],
  [258, 'loong64'],
]);

/** The last second that RFC 3339 has a four-digit year for. */
const LATEST = 253_402_300_799;

/**
 * When the image was made, for a configuration that is written anew: SOURCE_DATE_EPOCH of the caller, or else the newest file
 * in it. Never the present time, which would make another image of it each time. Throws `E_USAGE`.
 */
export function createdOf(newest: string, epoch: string | undefined): string {
  if (epoch !== undefined && epoch !== '' && !/^\d{1,12}$/u.test(epoch)) {
    throw new BoxctlError('E_USAGE', 'SOURCE_DATE_EPOCH is no number of seconds since 1970', {
      hint: 'SOURCE_DATE_EPOCH=$(git log -1 --format=%ct), or leave it unset',
    });
  }
  const seconds = Math.min(Math.max(0, Math.trunc(Number(epoch || newest || 0))), LATEST);
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

interface Made {
  readonly defaults: ImageFacts['defaults'];
  /** 64 hex digits each, the lowest first. */
  readonly diffIds: readonly string[];
  readonly created: string;
  /** e_machine; 0 where there are no programs. */
  readonly machine: number;
  /** `linux/ARCHITECTURE[/VARIANT]`, where it is known. */
  readonly platform?: string | undefined;
}

/** The configuration of an image that came without one. */
export function newConfig({ defaults, diffIds, created, machine, platform }: Made, host: HostFacts): Json {
  const { entrypoint, command, environment, workingDir, user, stopSignal } = defaults;
  const [, said, variant] = platform?.split('/') ?? [];
  const architecture = said ?? MACHINES.get(machine) ?? hostPlatform(host.arch satisfies Arch).architecture;
  const env = Object.entries(environment ?? {}).map(([key, value]) => `${key}=${value}`);
  return {
    created,
    architecture,
    ...(variant === undefined ? {} : { variant }),
    os: 'linux',
    config: {
      ...(user === undefined ? {} : { User: user }),
      ...(env.length === 0 ? {} : { Env: env }),
      ...(entrypoint === undefined ? {} : { Entrypoint: entrypoint }),
      ...(command === undefined ? {} : { Cmd: command }),
      ...(workingDir === undefined ? {} : { WorkingDir: workingDir }),
      ...(stopSignal === undefined ? {} : { StopSignal: stopSignal }),
    },
    rootfs: rootfsOf(diffIds),
    history: diffIds.map(() => ({ created, created_by: 'boxctl' })),
  };
}

const rootfsOf = (diffIds: readonly string[]): Json => ({
  type: 'layers',
  diff_ids: diffIds.map((hex) => `sha256:${hex}`),
});

/** A configuration for other layers. Its history stays where it still speaks of as many layers. */
export function withLayers(config: Json, diffIds: readonly string[]): Json {
  const { history, ...rest } = config;
  const spoken = Array.isArray(history)
    ? history.filter((step: unknown) => isRecord(step) && step['empty_layer'] !== true).length
    : -1;
  return {
    ...rest,
    rootfs: rootfsOf(diffIds),
    ...(spoken === diffIds.length ? { history: history as unknown } : {}),
  };
}

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** The manifest of an image. */
export function newManifest(
  config: Pick<Descriptor, 'digest' | 'size'>,
  layers: readonly Pick<Descriptor, 'mediaType' | 'digest' | 'size'>[],
): Buffer {
  return json({
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    config: { mediaType: MEDIA.config, digest: config.digest, size: config.size },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  });
}
