/**
 * The grammar of names of images, `[REGISTRY/]PATH[:TAG][@sha256:DIGEST]`, as docker and podman have it (the package
 * `reference` of the distribution project). It says nothing of what a name without a registry means.
 */
import { formatAddress, parseAddress } from './addresses.ts';

export interface ImageName {
  /** Host in lower case, with a port where one is given: `ghcr.io`, `[::1]:5000`. Undefined: the name is short. */
  readonly registry: string | undefined;
  /** Of docker.io with the `library/` that people leave out. */
  readonly path: string;
  readonly tag: string | undefined;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string | undefined;
}

/** Why a text is no name. Neither sentence quotes the text. */
export interface NameProblem {
  /** What is wrong, to go on after `"TEXT" is no …: `. */
  readonly problem: string;
  readonly hint: string;
}

export const DOCKER_HUB = 'docker.io';

/** Docker Hub under its other names. To one content belongs one reference, so that a rule for docker.io holds for all of it. */
const OTHER_NAMES_OF_HUB: ReadonlySet<string> = new Set(['index.docker.io', 'registry-1.docker.io']);

/** The longest path, as docker has it. */
const MAX_PATH = 255;
/** Registry, path, tag and digest at their longest. Nothing longer is looked at. */
const MAX_TEXT = 1024;
/** DNS (RFC 1035): a name, and a part of it. */
const MAX_HOST = 253;
const MAX_LABEL = 63;
const MAX_PORT = 65_535;

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//iu;
const PLAIN = /^[\x21-\x7e]+$/u;
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/u;
const PATH_PART = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/u;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/u;
const PORT = /^[1-9]\d{0,4}$/u;
const DIGEST = /^sha256:[0-9a-f]{64}$/u;
const FIRST_DIGITS = /^sha256:[0-9a-f]{4,64}$/u;
const BARE_DIGEST = /^[0-9a-f]{64}$/u;

const FORM = 'a reference is [REGISTRY/]NAME[:TAG][@sha256:DIGEST]: alpine:3.20, ghcr.io/org/app';
const wrong = (problem: string, hint = FORM): NameProblem => ({ problem, hint });

export const isProblem = <T extends object>(value: T | NameProblem): value is NameProblem => 'problem' in value;

/** Whether it is the first digits of a digest of an image: `sha256:` and 4 to 64 hex digits. No name begins so. */
export const isDigestStart = (text: string): boolean => FIRST_DIGITS.test(text);

/** A registry as references have it, in the one way that it is written here. */
export function parseRegistry(text: string): { readonly registry: string } | NameProblem {
  if (SCHEME.test(text)) return wrong('a registry is given without a scheme', 'leave out https://: ghcr.io');
  const [, bracketed, name, port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/su.exec(text) ?? [];
  if (bracketed === undefined && name === undefined) {
    return wrong('the registry is no host with an optional port', 'ghcr.io, localhost:5000, [::1]:5000');
  }
  if (port !== undefined && !(PORT.test(port) && Number(port) <= MAX_PORT)) {
    return wrong('the port of the registry is no number from 1 to 65535', 'localhost:5000/app');
  }
  const host = bracketed === undefined ? hostOf(name ?? '') : ipv6Of(bracketed);
  if (typeof host !== 'string') return host;
  const registry = port === undefined || isUsualPort(host, port) ? host : `${host}:${port}`;
  return { registry: OTHER_NAMES_OF_HUB.has(registry) ? DOCKER_HUB : registry };
}

/**
 * The port of https is left out where nothing else can be meant, so that what is blocked, demanded or stored for a registry holds
 * with it as well. Of this machine, and by addresses, a registry is often asked without TLS.
 */
const isUsualPort = (host: string, port: string): boolean =>
  port === '443' && host !== 'localhost' && !host.startsWith('[') && parseAddress(host) === undefined;

function ipv6Of(text: string): string | NameProblem {
  const address = parseAddress(text);
  if (address?.family !== 6) return wrong('the registry in brackets is no IPv6 address', '[::1]:5000/app');
  return `[${formatAddress(address)}]`;
}

function hostOf(text: string): string | NameProblem {
  const host = text.toLowerCase();
  const labels = host.split('.');
  if (host.length > MAX_HOST || !labels.every((label) => label.length <= MAX_LABEL && LABEL.test(label))) {
    return wrong(
      'the registry is no name of a host',
      'parts of letters, digits and hyphens with dots between them: ghcr.io',
    );
  }
  // Clients read 0x7f.1 or 127.1 as addresses, and differ in which. Only one spelling is taken.
  if (/^(?:\d+|0x[0-9a-f]*)$/u.test(labels.at(-1) ?? '') && parseAddress(host) === undefined) {
    return wrong('the registry looks like an IPv4 address, and is none', '127.0.0.1:5000/app');
  }
  return host;
}

/** Whether the part before the first `/` is a registry. Without one of these marks it is the first part of the path. */
const isRegistry = (first: string): boolean => /[.:]/u.test(first) || first.toLowerCase() === 'localhost';

export function parseImageName(text: string): ImageName | NameProblem {
  if (text === '') return wrong('it is empty');
  if (text.length > MAX_TEXT) return wrong(`it is longer than ${MAX_TEXT} characters`);
  if (!PLAIN.test(text)) return wrong('it has a space, or a character beyond ASCII');
  if (SCHEME.test(text)) {
    return wrong(
      'it begins with a scheme',
      'leave out what ends with ://, such as docker:// or https://: ghcr.io/org/app',
    );
  }
  if (text.startsWith('sha256:') || BARE_DIGEST.test(text)) {
    return wrong('it is a digest alone', 'a digest comes after a name: alpine@sha256:…');
  }
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const digestProblem = digest === undefined ? undefined : problemOfDigest(digest);
  if (digestProblem !== undefined) return digestProblem;
  const named = parseNamed(at < 0 ? text : text.slice(0, at));
  return isProblem(named) ? named : { ...named, digest };
}

function problemOfDigest(digest: string): NameProblem | undefined {
  if (DIGEST.test(digest)) return undefined;
  const hint = 'a digest is sha256: and 64 hexadecimal digits in lower case';
  const [algorithm = '', digits] = digest.split(':', 2);
  if (digest === '') return wrong('there is no digest after the @', hint);
  if (digits !== undefined && algorithm !== 'sha256') return wrong('its digest is of another kind than sha256', hint);
  if (DIGEST.test(digest.toLowerCase())) return wrong('its digest has upper-case letters', hint);
  return wrong('what comes after the @ is no digest', hint);
}

/** The repository that a text names in full, without a tag, in the one way that it is written; undefined for all else. */
export function repositoryOf(text: string): string | undefined {
  const name = parseImageName(text);
  if (isProblem(name) || name.registry === undefined || name.tag !== undefined || name.digest !== undefined) {
    return undefined;
  }
  return `${name.registry}/${name.path}`;
}

function parseNamed(text: string): Omit<ImageName, 'digest'> | NameProblem {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const hasRegistry = slash >= 0 && isRegistry(first);
  const host = hasRegistry ? parseRegistry(first) : { registry: undefined };
  if ('problem' in host) return host;
  const rest = hasRegistry ? text.slice(slash + 1) : text;
  const colon = rest.indexOf(':');
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  const given = colon < 0 ? rest : rest.slice(0, colon);
  const { registry } = host;
  const path = registry === DOCKER_HUB && !given.includes('/') ? `library/${given}` : given;
  const problem = problemOfPath(path, given) ?? (tag === undefined ? undefined : problemOfTag(tag));
  return problem ?? { registry, path, tag };
}

function problemOfPath(path: string, given: string): NameProblem | undefined {
  if (given === '') return wrong('there is no name of an image in it');
  if (/[A-Z]/u.test(path)) {
    return wrong('its name has upper-case letters', 'names of images are in lower case; only a tag may have others');
  }
  if (path.length > MAX_PATH) return wrong(`its name is longer than ${MAX_PATH} characters`);
  if (path.split('/').every((part) => PATH_PART.test(part))) return undefined;
  return wrong(
    'its name is not well formed',
    'parts of a-z and 0-9 with `.`, `_`, `__` or hyphens between letters or digits, and `/` between the parts: org/my-app',
  );
}

function problemOfTag(tag: string): NameProblem | undefined {
  if (TAG.test(tag)) return undefined;
  const hint = 'a tag has letters, digits and `_.-`, and begins with none of `.-`: app:1.2-rc.1';
  if (tag === '') return wrong('there is no tag after the colon', hint);
  return tag.length > 128
    ? wrong('its tag is longer than 128 characters', hint)
    : wrong('its tag is not well formed', hint);
}
