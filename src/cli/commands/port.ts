import { findAny } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import type { KeptPort } from '../../state/container-record.ts';
import { portsOf } from '../../state/ports.ts';
import { safeJson } from '../../text/safe.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

/** `0.0.0.0:8080`; of one that is published at all addresses a line for each family, as docker has it. */
function hostSides({ address, host_port }: KeptPort): readonly string[] {
  if (host_port === 0) return [];
  if (address === undefined) return [`0.0.0.0:${host_port}`, `[::]:${host_port}`];
  return [`${address.includes(':') ? `[${address}]` : address}:${host_port}`];
}

function parse(word: string): { readonly port: number; readonly protocol: string } {
  const found = /^(\d{1,5})(?:\/(tcp|udp))?$/u.exec(word);
  if (found === null || Number(found[1]) > 0xffff) {
    throw new BoxctlError('E_USAGE', `${word} is no port`, { hint: 'for example 80, or 53/udp' });
  }
  return { port: Number(found[1]), protocol: found[2] ?? 'tcp' };
}

export const port: Run = (invocation) => {
  const { args } = invocation;
  const [name = '', word] = args.positionals;
  const wanted = word === undefined ? undefined : parse(word);
  const container = findAny(hostFacts(invocation), name);
  if (container.isForeground === true && container.ports === undefined) {
    throw new BoxctlError(
      'E_CONTAINER_RECORD',
      `what the container ${container.name} was made from is not written down`,
      {
        hint: 'it has been started just now, or by another program: its ports are in its file',
      },
    );
  }
  const all = container.isAlive ? portsOf(container) : [];
  const fitting = all.filter(
    (one) => wanted === undefined || (one.port === wanted.port && one.protocol === wanted.protocol),
  );
  if (args.flag('json')) {
    writeOutput(`${safeJson(fitting, 2)}\n`);
    return 0;
  }
  const lines = fitting.flatMap((one) =>
    hostSides(one).map((side) => (wanted === undefined ? `${one.port}/${one.protocol} -> ${side}\n` : `${side}\n`)),
  );
  writeOutput(lines.join(''));
  if (wanted === undefined || lines.length > 0) return 0;
  const other = all.map((one) => `${one.port}/${one.protocol}`).join(', ');
  const what = `the container ${container.name} publishes no port ${wanted.port}/${wanted.protocol}`;
  throw new BoxctlError('E_CONTAINER_NO_PORT', what, {
    hint: !container.isAlive
      ? 'it does not run'
      : other === ''
        ? '`ports` of its file publishes some'
        : `it publishes ${other}`,
  });
};
