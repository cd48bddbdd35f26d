/** `dns`, `dns_search`, `dns_opt`, `extra_hosts`: lines of the container's /etc/resolv.conf and /etc/hosts. */
import type { ContainerFile } from '../../generated/container.ts';
import { clip, clipKey, each, listOf, addProblem, type Context } from '../context.ts';
import type { Spec } from '../spec.ts';
import type { SpecPath } from '../spec-path.ts';
import type { ExtraHost, SpecDns } from './network.ts';
import { addressAt, isHostName } from './values.ts';

/** The C library ignores further name servers (MAXNS of resolv.conf(5)). */
const MOST_SERVERS = 3;

export function normaliseDns(context: Context, raw: ContainerFile): Pick<Spec, 'dns'> {
  const servers = listOf(context, raw.dns, 'dns').flatMap(([text, path]) => addressAt(context, text, path)?.text ?? []);
  if (servers.length > MOST_SERVERS) {
    addProblem(
      context,
      `dns.${MOST_SERVERS}`,
      'E_SPEC_RANGE',
      `only the first ${MOST_SERVERS} name servers are asked`,
      {
        hint: 'take the others out',
      },
    );
  }
  const search = listOf(context, raw.dns_search, 'dns_search').flatMap(([text, path]) => {
    if (text === '.') return [];
    if (isHostName(text)) return [text];
    addProblem(context, path, 'E_SPEC_HOSTNAME', `"${clip(text)}" is not a domain name`, {
      hint: 'letters, digits and `-`, in parts joined by dots; `.` is none',
    });
    return [];
  });
  const options = each(context, raw.dns_opt ?? [], 'dns_opt').flatMap(([text, path]) => {
    if (/^[a-z][a-z0-9-]*(?::\d{1,5})?$/u.test(text)) return [text];
    addProblem(context, path, 'E_SPEC_VALUE', `"${clip(text)}" is not an option of the resolver`, {
      hint: 'such as ndots:1, timeout:2 or use-vc (resolv.conf(5))',
    });
    return [];
  });
  const dns: SpecDns = {
    ...(raw.dns === undefined ? {} : { servers }),
    ...(raw.dns_search === undefined ? {} : { search }),
    ...(raw.dns_opt === undefined ? {} : { options }),
  };
  return Object.keys(dns).length === 0 ? {} : { dns };
}

const FORM = 'write NAME=ADDRESS, such as "db=10.0.0.7" or "host.docker.internal=host-gateway"';

export function normaliseExtraHosts(
  context: Context,
  raw: ContainerFile['extra_hosts'],
  net: Spec['namespaces']['net'],
  hasNetwork: boolean,
): Pick<Spec, 'extraHosts'> {
  if (raw === undefined) return {};
  const entry = (name: string, text: string, path: SpecPath): readonly ExtraHost[] => {
    if (text === '') {
      addProblem(context, path, 'E_SPEC_VALUE', `"${clip(name)}" has no address`, { hint: FORM });
      return [];
    }
    if (!isHostName(name)) {
      const message = name === '' ? `a name is missing in "${clip(text)}"` : `"${clip(name)}" is not a host name`;
      addProblem(context, path, 'E_SPEC_HOSTNAME', message, { hint: FORM });
      return [];
    }
    if (text === 'host-gateway') {
      if (!hasNetwork && net.kind !== 'host') {
        const message = '`host-gateway` is the way to this host, and the container has no network that leads to it';
        addProblem(context, path, 'E_SPEC_CONFLICT', message, { hint: 'add `network_mode: bridge`' });
        return [];
      }
      return [{ name, address: text, specPath: path }];
    }
    const address = addressAt(context, text, path);
    return address === undefined ? [] : [{ name, address: address.text, specPath: path }];
  };
  if (Array.isArray(raw)) {
    const extraHosts = each(context, raw, 'extra_hosts').flatMap(([text, path]) => {
      // Split at the first `=` or `:`, since an IPv6 address has colons of its own.
      const [, name, address] = /^([^=:]*)[=:](.*)$/su.exec(text) ?? [];
      if (name !== undefined && address !== undefined) return entry(name.trim(), address.trim(), path);
      addProblem(context, path, 'E_SPEC_VALUE', `"${clip(text)}" has no address`, { hint: FORM });
      return [];
    });
    return { extraHosts };
  }
  const extraHosts = Object.entries(raw).flatMap(([name, value]) => {
    const path = `extra_hosts.${name}` as const;
    if (context.bad.has(path) && typeof value !== 'object') return [];
    if (!isHostName(name)) {
      addProblem(context, path, 'E_SPEC_HOSTNAME', `"${clipKey(name)}" is not a host name`, { hint: FORM });
      return [];
    }
    return listOf(context, value, path).flatMap(([text, item]) => entry(name, text, item));
  });
  return { extraHosts };
}
