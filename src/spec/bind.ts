/** Binds: paths of the host that are seen inside. */
import type { Stats } from 'node:fs';
import { dirname } from 'node:path';
import { lstatSync, statSync } from '../inputs/outside.ts';
import { clip, hostPath, addProblem, type Context } from './context.ts';
import { propagationAt } from './propagation.ts';
import { realPath, whyNot } from '../files/read.ts';
import type { BindVolume } from './spec.ts';
import { insidePath } from './values.ts';

/** The paths of the bind's values in the file. */
export interface BindPlaces {
  readonly source: string;
  readonly target: string;
  readonly propagation: string;
}

export type BindOptions = Pick<BindVolume, 'readOnly' | 'flags' | 'recursive' | 'propagation' | 'protect' | 'idmap'> & {
  readonly createHostPath: boolean;
};

export function bindVolume(
  context: Context,
  from: string,
  to: string,
  { createHostPath, ...options }: BindOptions,
  places: BindPlaces,
): BindVolume | undefined {
  const target = insidePath(context, to, places.target);
  const named = hostPath(context, from);
  const source = realPath(named);
  let status: Stats | undefined;
  try {
    status = statSync(source);
  } catch (error) {
    const { missing, problem } = whyNot(error);
    if (!context.review && (!missing || !createHostPath)) {
      addProblem(
        context,
        places.source,
        'E_SPEC_MISSING_FILE',
        `the source "${clip(from)}" cannot be used: ${problem}`,
        {
          hint: `looked for ${clip(named)}${missing ? '; to have it made, use the long form with `bind: {create_host_path: true}`' : ''}`,
        },
      );
    }
  }
  if (!context.review && (status?.isCharacterDevice() === true || status?.isBlockDevice() === true)) {
    addProblem(
      context,
      places.source,
      'E_SPEC_VOLUME',
      `the source "${clip(from)}" is a device, which would not work there`,
      {
        hint: `devices are given by name: \`devices: ["${clip(source)}"]\``,
      },
    );
  }
  checkPropagation(context, source, options.propagation, places.propagation, places.source);
  if (target === undefined) return undefined;
  const create = status === undefined && createHostPath ? missingFolders(source) : [];
  const isFile = status?.isDirectory() === false;
  return { type: 'bind', source, target, ...options, create, isFile };
}

/** The missing folders, from the outermost to the source itself. */
function missingFolders(source: string): readonly string[] {
  const missing: string[] = [];
  for (let path = source; path !== '/' && !isThere(path); path = dirname(path)) missing.unshift(path);
  return missing;
}

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** Refuses `shared` and `slave` where the source's mount is private: the kernel takes them, but nothing would propagate. */
function checkPropagation(
  context: Context,
  source: string,
  wanted: BindVolume['propagation'],
  path: string,
  about: string,
): void {
  const slave = wanted.endsWith('slave');
  if (context.review || (!slave && !wanted.endsWith('shared'))) return;
  const found = propagationAt(source);
  if (found.shared || (slave && found.slave)) return;
  const message = `\`${wanted}\` needs a source on a mount that is shared; ${clip(source)} is on ${clip(found.mountPoint)}, which is not`;
  addProblem(context, path, 'E_SPEC_PROPAGATION', message, {
    hint: `mount --make-rshared ${clip(found.mountPoint)}`,
    about,
  });
}
