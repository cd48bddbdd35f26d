import { attachTo } from '../../container/attach.ts';
import { findAny } from '../../container/existing.ts';
import { attachOptions, tellAttached } from '../attach.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { messagesFor, modeOf } from '../start.ts';

export const attach: Run = async (invocation) => {
  const [word = ''] = invocation.args.positionals;
  const host = hostFacts(invocation);
  const messages = messagesFor(invocation, modeOf(invocation));
  try {
    const options = attachOptions(invocation);
    const container = findAny(host, word);
    return tellAttached(container, await attachTo(host, container, options), messages);
  } catch (error) {
    return messages.failure(error);
  }
};
