/**
 * Whether a container's first process can be born in a mount namespace that has none of the host's mounts but those of the
 * kernel's own file systems (native/launcher/lean_mounts.h).
 */
import { rowOf } from '../kernel/calls.ts';
import { CLONE } from '../kernel/constants.ts';
import type { Plan, Step } from './plan.ts';

function namesHostPath({ call }: Step): boolean {
  // Whatever mounts there are: all of them.
  if (call.name === 'mount_setattr' && call.args.pathname === '/') return false;
  const values: Readonly<Record<string, unknown>> = call.args;
  return rowOf(call.name).args.some(({ name, kind }) => {
    if (kind !== 'text' && kind !== 'texts') return false;
    const texts: readonly unknown[] = kind === 'text' ? [values[name]] : (values[name] as readonly unknown[]);
    return texts.some((text) => textOf(text).startsWith('/'));
  });
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'object' && value !== null && 'template' in value ? String(value.template) : '';
}

/**
 * True where the mount namespace is made with the first process, and until that has left the host's root (pivot_root(2)) no
 * call of the container's side names an absolute path.
 */
export function isLean({ steps }: Plan): boolean {
  const birth = steps.find(({ call }) => call.name === 'clone3')?.call;
  if (birth?.name !== 'clone3' || (birth.args.flags & CLONE.CLONE_NEWNS) === 0) return false;
  const pivot = steps.findIndex(({ call, side }) => call.name === 'pivot_root' && side === 'container');
  return pivot >= 0 && !steps.slice(0, pivot).some((step) => step.side === 'container' && namesHostPath(step));
}
