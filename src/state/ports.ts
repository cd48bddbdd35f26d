/** The published ports of a container, with those that the kernel has chosen. */
import { closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { outcomeOf } from '../launcher/course.ts';
import { openOwn } from '../native.ts';
import type { KeptPort } from './container-record.ts';
import { readKeptPlan, type KeptContainer } from './containers.ts';

/** By the step that has bound it, what the launcher has told. */
function chosenPorts(container: KeptContainer): readonly KeptPort[] {
  const plan = readKeptPlan(container);
  if (plan === undefined) return [];
  const ports: KeptPort[] = [];
  try {
    const fd = openOwn(join(container.folder, 'events'), 'file');
    try {
      outcomeOf(plan, readFileSync(fd), (event) => {
        const step = event.kind === 'port' ? plan.steps[event.index]?.publishes : undefined;
        if (event.kind !== 'port' || step === undefined) return;
        const { hostAddress, port, protocol } = step;
        ports.push({
          ...(hostAddress === undefined ? {} : { address: hostAddress }),
          host_port: event.port,
          port,
          protocol,
        });
      });
    } finally {
      closeSync(fd);
    }
  } catch {
    // It has not run yet, or what is kept of it is damaged.
  }
  return ports;
}

/** A port of which nothing is known but that it was to be chosen has the number 0. */
export function portsOf(container: KeptContainer): readonly KeptPort[] {
  const { ports = [] } = container;
  if (!ports.some(({ host_port }) => host_port === 0)) return ports;
  const chosen = [...chosenPorts(container)];
  return ports.map((port) => {
    if (port.host_port !== 0) return port;
    const at = chosen.findIndex(
      (one) => one.port === port.port && one.protocol === port.protocol && one.address === port.address,
    );
    return at < 0 ? port : (chosen.splice(at, 1)[0] ?? port);
  });
}
