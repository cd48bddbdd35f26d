/** `platform`: what the image is made for, in the words of Go and of `uname -m`. */
import { clip, addProblem, type Context } from './context.ts';
import type { Spec } from './spec.ts';

const ARCHITECTURES: Readonly<Record<string, NonNullable<Spec['platform']>>> = {
  amd64: 'x86_64',
  x86_64: 'x86_64',
  'x86-64': 'x86_64',
  arm64: 'aarch64',
  'arm64/v8': 'aarch64',
  aarch64: 'aarch64',
};

export function normalisePlatform(context: Context, text: string | undefined): Spec['platform'] {
  if (text === undefined || text === 'linux') return undefined;
  const [, system, architecture = ''] = /^([a-z]+)\/(.+)$/i.exec(text.toLowerCase()) ?? [];
  if (system !== undefined && system !== 'linux') {
    addProblem(
      context,
      'platform',
      'E_SPEC_PLATFORM',
      `the platform "${clip(text)}" is not Linux, which boxctl runs on alone`,
    );
    return undefined;
  }
  const known = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture] : undefined;
  if (known !== undefined) return known;
  const variant = architecture.startsWith('amd64/');
  addProblem(context, 'platform', 'E_SPEC_PLATFORM', `"${clip(text)}" is not a platform that boxctl runs on`, {
    hint: variant ? 'write linux/amd64: the kinds of it are not told apart' : 'they are linux/amd64 and linux/arm64',
  });
  return undefined;
}
