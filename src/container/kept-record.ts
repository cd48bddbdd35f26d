/** What container.json has of a container, without the values that its file has from the environment or from other files. */
import { resolve } from 'node:path';
import type { Mount } from '../model/mount.ts';
import type { Model } from '../model/model.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { KeptMount, KeptNetwork, KeptPort, KeptRecord } from '../state/container-record.ts';
import { bootId } from '../state/containers.ts';
import { redactor, type Redact } from '../text/borrowed.ts';
import { titleOf } from './import-image.ts';

function sourceOf(mount: Mount): string | undefined {
  if (mount.kind === 'bind') return mount.source;
  if (mount.kind === 'volume') return mount.volume.name;
  return mount.kind === 'given' ? mount.name : undefined;
}

function mountsOf({ mounts }: Model, redact: Redact): readonly KeptMount[] {
  return mounts
    .filter(({ asked }) => asked)
    .map((mount): KeptMount => {
      const type = mount.kind === 'new' ? mount.type : mount.kind === 'given' ? mount.what : mount.kind;
      const source = sourceOf(mount);
      return {
        type,
        ...(source === undefined ? {} : { source: redact(source, 'volumes') }),
        target: redact(mount.target, 'volumes'),
        read_only: mount.options.includes('ro') || mount.options.includes('rro'),
      };
    });
}

function portsOf({ network }: Model): readonly KeptPort[] {
  return (network?.ports ?? []).map(({ hostAddress, hostPort, port, protocol }) => ({
    ...(hostAddress === undefined ? {} : { address: hostAddress }),
    host_port: hostPort,
    port,
    protocol,
  }));
}

const addresses = (ipv4: string | undefined, ipv6: string | undefined): Omit<KeptNetwork, 'name'> => ({
  ...(ipv4 === undefined ? {} : { ipv4 }),
  ...(ipv6 === undefined ? {} : { ipv6 }),
});

/** Its own interface, and the networks that it shares with others. */
function networksOf({ network }: Model, redact: Redact): readonly KeptNetwork[] {
  if (network === undefined) return [];
  return [
    { name: network.driver === 'veth' ? 'bridge' : network.driver, ...addresses(network.ipv4, network.ipv6) },
    ...network.networks.map(({ name, address4, address6 }) => ({
      name: redact(name, 'networks'),
      ...addresses(address4, address6),
    })),
  ];
}

const labelsOf = (labels: Readonly<Record<string, string>>, redact: Redact): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [redact(name, 'labels'), redact(value, 'labels')]));

export function recordOf({ file, spec: { image } }: SpecDocument, model: Model, id: string): KeptRecord {
  const redact = redactor(model.borrowed);
  return {
    id,
    name: model.name,
    file: resolve(file),
    created: Date.now(),
    boot: bootId(),
    command: model.config.process.args.map((word) => redact(redact(word, 'command'), 'entrypoint')),
    image: image === undefined ? undefined : redact(titleOf(image), 'image'),
    ports: portsOf(model),
    mounts: mountsOf(model, redact),
    networks: networksOf(model, redact),
    ...(model.labels === undefined ? {} : { labels: labelsOf(model.labels, redact) }),
  };
}
