/** `platform`: what the image is made for, in the words of Go and of `uname -m`. */
import { clip, addProblem, type Context } from './context.ts';

/** Other names of architectures, and the one that Go has. */
const SYNONYMS: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  'arm64/v8': 'arm64',
  i386: '386',
  i686: '386',
  armhf: 'arm/v7',
  armel: 'arm/v6',
};

/** `ARCHITECTURE[/VARIANT]`, as the OCI image specification has them. */
const ARCHITECTURE = /^[a-z0-9_]+(?:\/[a-z0-9.]+)?$/u;

/** The same as Go names it: `linux/x86_64` is `linux/amd64`. Undefined for a text that is none, or is not of Linux. */
export function parsePlatformName(text: string): string | undefined {
  const [, architecture = ''] = /^linux\/(.+)$/u.exec(text.toLowerCase()) ?? [];
  const known = Object.hasOwn(SYNONYMS, architecture) ? SYNONYMS[architecture] : architecture;
  return known !== undefined && ARCHITECTURE.test(known) ? `linux/${known}` : undefined;
}

/** `linux/ARCHITECTURE[/VARIANT]`, as Go names them; undefined for `linux` alone, and for a problem, which is reported. */
export function normalisePlatform(context: Context, text: string | undefined, path: string): string | undefined {
  if (text === undefined || text.toLowerCase() === 'linux') return undefined;
  const [, system] = /^([a-z]+)\//i.exec(text.toLowerCase()) ?? [];
  if (system !== undefined && system !== 'linux') {
    const message = `the platform "${clip(text)}" is not Linux, which boxctl runs on alone`;
    return addProblem(context, path, 'E_SPEC_PLATFORM', message);
  }
  const known = parsePlatformName(text);
  if (known !== undefined) return known;
  return addProblem(context, path, 'E_SPEC_PLATFORM', `"${clip(text)}" is not a platform`, {
    hint: 'OS/ARCHITECTURE[/VARIANT]: linux/amd64, linux/arm64, linux/arm/v7',
  });
}
