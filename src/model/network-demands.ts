/** The demands of a container's network: what it reaches, and from where it can be reached. */
import type { EgressTarget, PublishedPort, SpecNetwork } from '../spec/network/network.ts';
import { formatTarget } from '../spec/network/target.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { isPrivate, specialKind } from '../text/special-addresses.ts';
import { formatSubnet, subnetOf } from '../text/addresses.ts';
import type { Because } from './because.ts';
import type { Demand } from './demand.ts';

type Place = (path: SpecPath) => Because;

export function networkDemands(document: SpecDocument, place: Place): readonly Demand[] {
  const { network } = document.spec;
  if (network === undefined) return [];
  const asked = place(networkKey(document));
  return [
    ...ofShared(network, place),
    ...ofSubnets(network, place),
    ...ofReach(network, asked, place),
    ...ofPorts(network.ports, place),
  ];
}

/** The key that asks for a network. `networks` alone implies `network_mode: bridge`. */
export function networkKey({ where }: SpecDocument): 'network_mode' | 'networks' {
  return where('network_mode') === undefined && where('networks') !== undefined ? 'networks' : 'network_mode';
}

/** Demands for networks that containers of other folders can be on. */
function ofShared({ networks }: SpecNetwork, place: Place): readonly Demand[] {
  return networks.flatMap(({ hostName, specPath }): readonly Demand[] => {
    if (hostName === undefined) return [];
    const message = `is on the network ${hostName}, on which containers of other folders can be`;
    return [{ kind: 'shared_network', value: hostName, message, because: place(specPath) }];
  });
}

/** Demands for subnets whose addresses others have on the internet. The host's packets to these go to the containers. */
function ofSubnets({ networks }: SpecNetwork, place: Place): readonly Demand[] {
  return networks.flatMap(({ subnets }) =>
    subnets.flatMap(({ subnet, specPath }): readonly Demand[] => {
      if (isPrivate(subnet)) return [];
      const value = formatSubnet(subnet);
      const message = `takes addresses of the internet, by which this host reaches nobody else then: ${value}`;
      return [{ kind: 'subnet', value, message, because: place(specPath) }];
    }),
  );
}

/** Whether the entry allows everything, for one family at least. */
function isWide({ to, ports, protocol }: EgressTarget): boolean {
  if (ports !== undefined || protocol !== undefined) return false;
  return to.kind === 'any' || (to.kind === 'subnet' && to.subnet.prefix === 0);
}

function ofReach({ networks, egress }: SpecNetwork, asked: Because, place: Place): readonly Demand[] {
  if (networks.length > 0 && networks.every(({ internal }) => internal)) return [];
  const anywhere = (because: Because): Demand => ({
    kind: 'network',
    value: '',
    message: 'reaches every address of the network but those of this host and of other containers',
    because,
  });
  if (egress === undefined) return [anywhere(asked)];
  const wide = egress.find(isWide);
  return [
    ...(wide === undefined ? [] : [anywhere(place(wide.specPath))]),
    ...egress.filter((target) => !isWide(target)).map((target) => ofTarget(target, place(target.specPath))),
  ];
}

function ofTarget(target: EgressTarget, because: Because): Demand {
  const value = formatTarget(target);
  const { to } = target;
  if (to.kind === 'host') {
    return { kind: 'reach', value, message: `reaches what listens on this host, by ${value}`, because };
  }
  if (to.kind === 'subnet' && specialKind(to.subnet) === 'link-local') {
    const message = `reaches ${value}, which is link-local: clouds keep credentials at such addresses`;
    return { kind: 'reach', value, message, because };
  }
  return { kind: 'egress', value, message: `reaches ${value}`, because };
}

/** From where a port can be reached. The address of the host on which it listens decides. */
export function widthOfPort({ hostAddress }: PublishedPort): 'this host' | 'one address' | 'everywhere' {
  if (hostAddress === undefined || hostAddress === '0.0.0.0' || hostAddress === '::') return 'everywhere';
  const subnet = subnetOf(hostAddress);
  return subnet !== undefined && specialKind(subnet) === 'loopback' ? 'this host' : 'one address';
}

function ofPorts(ports: readonly PublishedPort[], place: Place): readonly Demand[] {
  return [...new Set(ports.map(({ specPath }) => specPath))].flatMap((specPath): readonly Demand[] => {
    const range = ports.filter((port) => port.specPath === specPath);
    const [first, last] = [range[0], range.at(-1)];
    if (first === undefined || last === undefined) return [];
    const { hostAddress, protocol } = first;
    const numbers = first.hostPort === last.hostPort ? `${first.hostPort}` : `${first.hostPort}-${last.hostPort}`;
    const address = hostAddress?.includes(':') === true ? `[${hostAddress}]` : hostAddress;
    const value = `${address === undefined ? '' : `${address}:`}${numbers}${protocol === 'tcp' ? '' : `/${protocol}`}`;
    const which =
      first.hostPort === 0
        ? `a ${protocol} port of this host that is free`
        : `${protocol} port ${numbers} of this host`;
    const from = {
      'this host': `this host alone (${hostAddress})`,
      'one address': `all who reach its address ${hostAddress}`,
      everywhere: 'everywhere',
    }[widthOfPort(first)];
    const message = `can be reached at ${which}, from ${from}`;
    return [{ kind: 'port', value, message, because: place(specPath) }];
  });
}
