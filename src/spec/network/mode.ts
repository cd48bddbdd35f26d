/** `network_mode`: chooses the container's network, and refuses the keys that this network cannot have. */
import { posix } from 'node:path';
import type { ContainerFile } from '../../generated/container.ts';
import { clip, addProblem, type Context } from '../context.ts';
import { didYouMean } from '../suggest.ts';
import type { NamespaceChoice, Spec } from '../spec.ts';
import { normaliseEgress } from './egress.ts';
import { normaliseMac } from './mac.ts';
import { normaliseDns, normaliseExtraHosts } from './names.ts';
import type { SpecNetwork } from './network.ts';
import { normaliseNetworks } from './networks.ts';
import { checkExpose, normalisePorts } from './ports.ts';

/** `bridge`: the container gets an interface of its own. Every other mode only chooses the network namespace. */
type Mode = { readonly kind: 'bridge' } | NamespaceChoice;

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/u;
const WORDS = ['none', 'bridge', 'host', 'container:NAME'];

type Part = Pick<Spec, 'namespaces' | 'network' | 'dns' | 'extraHosts'>;

export function normaliseNetwork(context: Context, raw: ContainerFile, given: Spec['namespaces']): Part {
  const mode = modeOf(context, raw, given);
  const net: NamespaceChoice = mode.kind === 'bridge' ? { kind: 'private' } : mode;
  const namespaces = { ...given, net };
  context.paths.alias('namespaces.net', 'network_mode');
  const ports = normalisePorts(context, raw.ports);
  checkExpose(context, raw.expose);
  const egress = normaliseEgress(context, raw.egress);
  const macAddress = normaliseMac(context, raw.mac_address);
  const networks = mode.kind === 'bridge' ? normaliseNetworks(context, raw.networks) : [];
  const names = {
    ...normaliseDns(context, raw),
    ...normaliseExtraHosts(context, raw.extra_hosts, net, mode.kind === 'bridge'),
  };
  if (mode.kind !== 'bridge') {
    refuseWithout(context, raw, net);
    return { namespaces, ...names };
  }
  if (networks.length > 0 && networks.every(({ internal }) => internal)) refuseOutward(context, raw);
  const network: SpecNetwork = {
    ports,
    networks,
    egress,
    ...(macAddress === undefined ? {} : { macAddress }),
  };
  return { namespaces, network, ...names };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && (typeof value !== 'object' || value === null || Object.keys(value).length > 0);
}

function modeOf(context: Context, raw: ContainerFile, given: Spec['namespaces']): Mode {
  if (raw.network_mode !== undefined) {
    const mode = parseMode(context, raw.network_mode);
    if (mode === undefined) return given.net;
    checkAgainstNamespaces(context, raw, given.net, mode);
    return mode;
  }
  if (context.bad.has('network_mode') || !isGiven(raw.networks)) return given.net;
  if (given.net.kind === 'private') return { kind: 'bridge' };
  return given.net;
}

function parseMode(context: Context, text: string): Mode | undefined {
  if (text === 'none') return { kind: 'private' };
  if (text === 'bridge' || text === 'host') return { kind: text };
  if (text.startsWith('/')) return { kind: 'path', path: posix.normalize(text) };
  const name = /^container:(.*)$/su.exec(text)?.[1];
  if (name !== undefined && NAME.test(name)) return { kind: 'container', name };
  addProblem(
    context,
    'network_mode',
    'E_SPEC_VALUE',
    `\`network_mode\` must be none, bridge, host, container:NAME or an absolute path; found "${clip(text)}"`,
    { hint: name === undefined ? hintFor(text) : 'the name is that of a container of yours that runs' },
  );
  return undefined;
}

function hintFor(text: string): string {
  const [word = '', rest = ''] = text.split(/:(.*)/su);
  if (word === 'service')
    return `a file has no other services: \`container:${clip(rest || 'NAME')}\` names a container that runs`;
  if (word === 'ns' && rest.startsWith('/')) return `write the path alone: ${clip(rest)}`;
  if (['default', 'nat', 'pasta', 'slirp4netns'].includes(word)) {
    return 'write `bridge`: without root, it is made by pasta or slirp4netns';
  }
  if (word === 'private') return 'write `none` for `lo` alone, or `bridge`';
  const meant = didYouMean(text, WORDS);
  if (meant !== undefined) return `did you mean \`${meant}\`?`;
  return 'a network of several containers is named in `networks`: `networks: [NAME]`';
}

/** `network_mode` and `namespaces` both choose the network namespace: they must agree. */
function checkAgainstNamespaces(context: Context, raw: ContainerFile, net: NamespaceChoice, mode: Mode): void {
  const isList = Array.isArray(raw.namespaces);
  const at = context.paths.where('namespaces.net');
  if (!isList && at === undefined) return;
  const wanted = mode.kind === 'bridge' ? { kind: 'private' } : mode;
  if (JSON.stringify(wanted) === JSON.stringify(net)) return;
  const place = at ?? context.paths.where('namespaces');
  const line = place === undefined ? '' : ` of line ${context.problems.position(place).line}`;
  const message = isList
    ? `\`network_mode\` and the list of \`namespaces\`${line} do not say the same of \`net\``
    : `\`network_mode\` says something else than \`namespaces.net\`${line}, which means the same`;
  addProblem(context, 'network_mode', 'E_SPEC_CONFLICT', message, { hint: 'keep one of them' });
}

/** Refuses keys that need a way out of the host, where all networks are internal. */
const refuseOutward = (context: Context, raw: ContainerFile): void => {
  const keys = { ports: raw.ports, egress: reachesNothing(raw.egress) ? undefined : raw.egress };
  for (const [key, value] of Object.entries(keys)) {
    if (!isGiven(value)) continue;
    const message = `\`${key}\` needs a way to the world, and the container is on internal networks alone`;
    addProblem(context, key, 'E_SPEC_CONFLICT', message.replace('`ports` needs', '`ports` need'), {
      hint: 'add a network that is not internal',
    });
  }
};

const reachesNothing = (egress: ContainerFile['egress']): boolean =>
  egress === 'none' || (Array.isArray(egress) && egress.every((text) => text === 'none'));

/** Refuses keys that need an interface of the container's own, where it has none. */
function refuseWithout(context: Context, raw: ContainerFile, net: NamespaceChoice): void {
  const keys = {
    ports: raw.ports,
    networks: raw.networks,
    egress: reachesNothing(raw.egress) && net.kind === 'private' ? undefined : raw.egress,
    mac_address: raw.mac_address,
    'limits.network': raw.limits?.network,
  };
  for (const [key, value] of Object.entries(keys)) {
    if (!isGiven(value) && !(key === 'egress' && Array.isArray(value) && net.kind !== 'private')) continue;
    const [why, hint] = reasonFor(key, net);
    addProblem(context, key, 'E_SPEC_CONFLICT', `\`${key}\` ${why}`, { hint });
  }
}

function reasonFor(key: string, net: NamespaceChoice): readonly [why: string, hint: string] {
  const needs = key === 'ports' || key === 'networks' ? 'need' : 'needs';
  if (net.kind === 'private') {
    return [`${needs} a network, and the container has \`lo\` alone`, 'add `network_mode: bridge`'];
  }
  if (net.kind === 'host') {
    const why = `${needs} a network of the container’s own, and it has the host’s`;
    const hint =
      key === 'ports'
        ? 'what listens inside listens on the host already: take `ports` out, or write `network_mode: bridge`'
        : `take \`${key}\` out, or write \`network_mode: bridge\``;
    return [why, hint];
  }
  const whose = net.kind === 'container' ? 'that of another container' : 'another namespace';
  return [
    `${needs} a network of the container’s own, and it joins ${whose}`,
    net.kind === 'container'
      ? `write \`${key}\` in the file of the container that is joined`
      : `take \`${key}\` out, or write \`network_mode: bridge\``,
  ];
}
