import { BoxctlError } from '../../errors.ts';
import { findVolume, listVolumes, pruneVolumes, removeVolume } from '../../state/volumes.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

export const volume: Run = async (invocation) => {
  const [verb, ...ids] = invocation.args.positionals;
  const host = hostFacts(invocation);
  const alone = verb === 'ls' || verb === 'prune';
  if (alone !== (ids.length === 0)) {
    throw new BoxctlError('E_USAGE', `boxctl volume ${verb ?? ''} ${alone ? 'takes no volumes' : 'needs volumes'}`, {
      hint: 'boxctl volume ls|prune, or boxctl volume inspect|rm ID…',
    });
  }
  switch (verb) {
    case 'ls': {
      const all = listVolumes(host);
      const width = Math.max(0, ...all.map(({ id }) => id.length));
      for (const { id, folder, folderExists, inUse } of all) {
        const state = inUse ? 'in use' : folderExists ? 'unused' : 'no folder';
        writeOutput(`${id.padEnd(width)}  ${state.padEnd(9)}  ${folder}\n`);
      }
      return 0;
    }
    case 'inspect':
      writeOutput(
        `${JSON.stringify(
          ids.map((id) => findVolume(host, id)),
          undefined,
          2,
        )}\n`,
      );
      return 0;
    case 'rm':
      for (const id of ids) {
        await removeVolume(host, id);
        writeOutput(`${id}\n`);
      }
      return 0;
    case 'prune':
      for (const id of await pruneVolumes(host, invocation.args.flag('all'))) writeOutput(`${id}\n`);
      return 0;
    default:
      throw new BoxctlError('E_USAGE', `boxctl volume does not know "${verb ?? ''}"`, {
        hint: 'boxctl volume ls|prune, or boxctl volume inspect|rm ID…',
      });
  }
};
