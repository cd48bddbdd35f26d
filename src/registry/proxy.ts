/**
 * Which proxy the caller's environment names for an address, by the rules of Go's programs (podman, skopeo, docker):
 * HTTP_PROXY, HTTPS_PROXY and NO_PROXY, also in lower case; never for loopback addresses.
 */
import { containsSubnet, parseSubnet, subnetOf } from '../text/addresses.ts';
import { Failure } from './failure.ts';
import { isLoopback } from './loopback.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const either = (env: Environment, name: string): string => env[name] || env[name.toLowerCase()] || '';

const portOf = (url: URL): string => url.port || (url.protocol === 'https:' ? '443' : '80');

/** Host without brackets. */
const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/u, '$1').toLowerCase();

/** One word of NO_PROXY: `*`, an address, a subnet, or a name; addresses and names may have a port. */
function exempts(word: string, host: string, port: string): boolean {
  if (word === '*') return true;
  const address = subnetOf(host);
  const subnet = word.includes('/') ? parseSubnet(word)?.subnet : subnetOf(word);
  if (subnet !== undefined) return address !== undefined && containsSubnet(subnet, address);

  const [, bracketed, name = bracketed ?? word, wanted] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/u.exec(word) ?? [];
  if (wanted !== undefined && wanted !== port) return false;
  const named = subnetOf(name);
  if (named !== undefined) return address !== undefined && containsSubnet(named, address);
  if (address !== undefined) return false;
  // `.example.com` and `*.example.com` are what lies below; `example.com` is itself, too.
  const suffix = name.replace(/^\*?\.?/u, '').replace(/\.$/u, '');
  if (suffix === '') return false;
  const plain = host.replace(/\.$/u, '');
  return plain.endsWith(`.${suffix}`) || (plain === suffix && !/^\*?\./u.test(name));
}

export function proxyFor(url: URL, env: Environment): URL | undefined {
  const variable = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = either(env, variable);
  if (value === '' || isLoopback(url.host)) return undefined;
  const words = either(env, 'NO_PROXY')
    .toLowerCase()
    .split(/[\s,]+/u);
  if (words.some((word) => word !== '' && exempts(word, hostOf(url), portOf(url)))) return undefined;
  const proxy = parse(value);
  if (proxy !== undefined) return proxy;
  // Its value may have a password in it.
  throw new Failure('E_REGISTRY_PROXY', `the value of ${variable} is no address of an HTTP proxy`, {
    hint: `write ${variable}=http://HOST:PORT`,
  });
}

function parse(value: string): URL | undefined {
  try {
    const url = new URL(/^[a-z][\w+.-]*:\/\//iu.test(value) ? value : `http://${value}`);
    return /^https?:$/u.test(url.protocol) && url.hostname !== '' ? url : undefined;
  } catch {
    return undefined;
  }
}
