import { attachTo } from '../../container/attach.ts';
import { findAny } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { isTerminal, writeMessage } from '../output.ts';
import { messagesFor, modeOf } from '../start.ts';

/** `ctrl-p,ctrl-q` as Docker has it: characters, or ctrl- and a letter or one of @[\]^_, with commas between them. */
function keysOf(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const codes = text.split(',').map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/iu.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    return /^[ -~]$/u.test(key) ? key.charCodeAt(0) : undefined;
  });
  if (text === '') return new Uint8Array();
  if (codes.every((code) => code !== undefined) && codes.length <= 16) return new Uint8Array(codes);
  throw new BoxctlError('E_USAGE', `--detach-keys ${text} are no keys`, {
    hint: 'boxctl attach --detach-keys ctrl-p,ctrl-q NAME; none: --detach-keys ""',
  });
}

export const attach: Run = async (invocation) => {
  const { args } = invocation;
  const [name = ''] = args.positionals;
  const messages = messagesFor(invocation, modeOf(invocation));
  try {
    const keys = keysOf(args.value('detach-keys'));
    const attached = await attachTo(hostFacts(invocation), findAny(hostFacts(invocation), name), {
      input: !args.flag('no-stdin'),
      passesSignals: args.value('sig-proxy') !== 'false',
      say: (message) => writeMessage(`boxctl: ${message}\n`),
      ...(keys === undefined ? {} : { detachKeys: keys }),
    });
    if (attached.kind === 'detached') {
      writeMessage(`${isTerminal(2) ? '\n' : ''}boxctl: detached from ${name}, which goes on\n`);
      return 0;
    }
    if (attached.ending !== undefined) messages.ended(attached.ending);
    return attached.status;
  } catch (error) {
    return messages.failure(error);
  }
};
