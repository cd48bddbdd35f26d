/** What `attach`, and `--attach` of `start` and `restart`, have in common. */
import type { Attached, AttachOptions } from '../container/attach.ts';
import { BoxctlError } from '../errors.ts';
import type { KeptContainer } from '../state/containers.ts';
import type { Invocation } from './command.ts';
import type { Messages } from './messages.ts';
import { isTerminal, writeMessage } from './output.ts';

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

/** What the command line says of it. Throws `E_USAGE`. */
export function attachOptions({ args }: Invocation): AttachOptions {
  const keys = keysOf(args.value('detach-keys'));
  return {
    input: !args.flag('no-stdin'),
    passesSignals: args.value('sig-proxy') !== 'false',
    say: (message) => writeMessage(`boxctl: ${message}\n`),
    ...(keys === undefined ? {} : { detachKeys: keys }),
  };
}

/** Tells how it ended, and gives the exit status. */
export function tellAttached({ name }: Pick<KeptContainer, 'name'>, attached: Attached, messages: Messages): number {
  if (attached.kind === 'detached') {
    writeMessage(`${isTerminal(2) ? '\n' : ''}boxctl: detached from ${name}, which goes on\n`);
    return 0;
  }
  if (attached.ending !== undefined) messages.ended(attached.ending);
  return attached.status;
}
