import { copyFrom, copyTo, type ContainerPath } from '../../container/copy-files.ts';
import { BoxctlError } from '../../errors.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { textMessages } from '../messages.ts';
import { isTerminal, wantsColor } from '../output.ts';
import { reporterFor } from '../terminal-reporter.ts';

/** NAME:PATH; undefined for a path of the host, which has a slash before its first colon, if it has any. */
function containerPath(word: string): ContainerPath | undefined {
  const [, container, path] = /^([^/:]+):(.*)$/su.exec(word) ?? [];
  if (container === undefined || path === undefined || container.startsWith('.')) return undefined;
  if (path !== '') return { container, path };
  throw new BoxctlError('E_USAGE', `${word} has no path`, { hint: `what of it? All: ${word}/` });
}

export const cp: Run = async (invocation) => {
  const { args, cwd, env } = invocation;
  const messages = textMessages(wantsColor(2, env), args.flag('quiet'));
  try {
    const [from = '', to = ''] = args.positionals;
    const source = containerPath(from);
    const target = containerPath(to);
    const reporter = {
      ...reporterFor(invocation, 'quiet', messages),
      ...(args.flag('quiet') ? { notice: () => undefined } : {}),
    };
    const options = { cwd, archive: args.flag('archive'), followLink: args.flag('follow-link'), reporter };
    if (source !== undefined && target !== undefined) {
      throw new BoxctlError('E_USAGE', 'files are not copied from container to container', {
        hint: `boxctl cp ${from} - | boxctl cp - ${target.container}:FOLDER`,
      });
    }
    if (source !== undefined) {
      if (to === '-' && isTerminal(1)) {
        throw new BoxctlError('E_USAGE', 'a tar is not written to a terminal', {
          hint: 'name a folder, or send standard output to a file or another program',
        });
      }
      await copyFrom(hostFacts(invocation), source, to === '-' ? { fd: 1 } : to, options);
    } else if (target !== undefined) {
      if (from === '-' && isTerminal(0)) {
        throw new BoxctlError('E_USAGE', 'a tar is not read from a terminal', { hint: 'tar -c … | boxctl cp - …' });
      }
      await copyTo(hostFacts(invocation), from === '-' ? { fd: 0 } : from, target, options);
    } else {
      throw new BoxctlError('E_USAGE', 'neither of the two is in a container', {
        hint: 'write NAME:PATH for one of them; of the host, ./a:b is a file whose name has a colon',
      });
    }
    return 0;
  } catch (error) {
    return messages.failure(error);
  }
};
