/** Which images this machine can run: the platforms of the OCI image specification ("Image Index"), as Go names them. */
import { existsSync, readText } from '../inputs/outside.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** '' where it does not say. */
  readonly variant: string;
}

export type Arch = HostFacts['arch'];

const NATIVE: Readonly<Record<Arch, string>> = { x86_64: 'amd64', aarch64: 'arm64' };
/** What the machine's processor runs besides, if the kernel lets it. */
const NARROW: Readonly<Record<Arch, string>> = { x86_64: '386', aarch64: 'arm' };

/** What qemu's packages call the architectures that they register with the kernel (binfmt_misc). */
const EMULATED: Readonly<Record<string, string>> = {
  '386': 'i386',
  amd64: 'x86_64',
  arm: 'arm',
  arm64: 'aarch64',
  loong64: 'loongarch64',
  mips64le: 'mips64el',
  ppc64le: 'ppc64le',
  riscv64: 'riscv64',
  s390x: 's390x',
};

export const hostPlatform = (arch: Arch): Platform => ({ os: 'linux', architecture: NATIVE[arch], variant: '' });

export function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== '').join('/');
}

/** By the flags of /proc/cpuinfo (the psABI's levels, x86-64-v2 and up). */
const LEVELS: readonly (readonly string[])[] = [
  ['cx16', 'lahf_lm', 'popcnt', 'pni', 'sse4_1', 'sse4_2', 'ssse3'],
  ['abm', 'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'movbe', 'xsave'],
  ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'],
];

/** 1 to 4. */
export function levelOf(cpuinfo: string): number {
  const flags = new Set(/^flags\s*:(.*)$/mu.exec(cpuinfo)?.[1]?.trim().split(/\s+/u));
  const missing = LEVELS.findIndex((level) => !level.every((flag) => flags.has(flag)));
  return missing === -1 ? LEVELS.length + 1 : missing + 1;
}

function cpuLevel(): number {
  try {
    return levelOf(readText('/proc/cpuinfo'));
  } catch {
    return 1;
  }
}

function isEmulated(architecture: string): boolean {
  const name = EMULATED[architecture];
  return name !== undefined && existsSync(`/proc/sys/fs/binfmt_misc/qemu-${name}`);
}

/**
 * How well an image of a platform suits this machine, more being better; undefined: it does not run here. What needs the
 * most of the processor is the best, what is native is better than what is not.
 */
export function rankOf(platform: Platform, arch: Arch, level: () => number = cpuLevel): number | undefined {
  const { os, architecture, variant } = platform;
  if (os !== 'linux') return undefined;
  if (architecture === NATIVE[arch]) {
    if (arch === 'aarch64') return variant === '' || variant === 'v8' ? 3 : undefined;
    const wanted = variant === '' ? 1 : Number(/^v([1-4])$/u.exec(variant)?.[1]);
    return wanted === 1 || wanted <= level() ? 2 + wanted : undefined;
  }
  if (architecture === NARROW[arch]) return 1;
  return isEmulated(architecture) ? 0 : undefined;
}

/** Throws `E_IMAGE_PLATFORM` where this machine does not run what is made for the platform. */
export function checkRunnable(text: string, arch: Arch): void {
  if (rankOf(parsePlatform(text), arch) !== undefined) return;
  const here = platformName(hostPlatform(arch));
  throw new BoxctlError('E_IMAGE_PLATFORM', `This machine is ${here} and does not run what is made for ${text}`, {
    hint: 'leave `platform` out, or have the kernel run other programs by qemu (binfmt_misc)',
  });
}

/** Of `linux/arm/v7`, as a specification has it. */
export function parsePlatform(text: string): Platform {
  const [os = '', architecture = '', variant = ''] = text.split('/');
  return { os, architecture, variant };
}

/** The variant that is meant where none is said: 1 to 8. */
const USUAL: Readonly<Record<string, number>> = { amd64: 1, arm: 7, arm64: 8 };

function variantOf({ architecture, variant }: Platform): number | string {
  if (variant === '') return USUAL[architecture] ?? '';
  const level = /^v([0-9]+)$/u.exec(variant)?.[1];
  return level === undefined ? variant : Number(level);
}

/**
 * How well an image of a platform is what was asked for, more being better; undefined: it is not. A processor runs what was
 * made for one that can do less.
 */
export function fitOf(platform: Platform, wanted: Platform): number | undefined {
  if (platform.os !== wanted.os || platform.architecture !== wanted.architecture) return undefined;
  const [is, asked] = [variantOf(platform), variantOf(wanted)];
  if (typeof is === 'number' && typeof asked === 'number') return is <= asked ? is : undefined;
  return is === asked ? 1 : undefined;
}

/** What a manifest or a configuration says; undefined where it names no architecture. */
export function platformOf(value: Readonly<Record<string, unknown>>): Platform | undefined {
  const text = (key: string): string => (typeof value[key] === 'string' ? value[key].toLowerCase() : '');
  const architecture = text('architecture');
  const os = text('os');
  return architecture === '' ? undefined : { os: os === '' ? 'linux' : os, architecture, variant: text('variant') };
}
