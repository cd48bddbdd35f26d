/** Reads a whole Compose file: the keys of its only service become the container file. */
import { clip } from '../context.ts';
import type { TextProblems, Span } from '../../yaml/problems.ts';
import type { Branch, Tree } from '../../yaml/tree.ts';
import { scalarOf } from './branch.ts';
import { whyNotBesideServices } from './elsewhere.ts';
import { withGiven } from './given.ts';
import { withNetworks } from './networks.ts';
import { isEmpty } from './ignored.ts';

/** The names that `name` of a container file allows. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/**
 * The keys of the only service, or the file itself if it has no `services`. Undefined if `services` has none or several,
 * which is reported.
 */
export function takeService(file: Branch, problems: TextProblems): Branch | undefined {
  const services = file.entries.get('services');
  if (services === undefined) return file;
  const refuse = (message: string, at: Span, hint: string): undefined => {
    problems.add('E_SPEC_UNSUPPORTED', message, { path: 'services', at, hint });
    return undefined;
  };
  if (services.value.kind !== 'map') return refuse('`services` must be a map of one service', services.key, ONE_FILE);
  const all = [...services.value.entries].filter(([key]) => !key.startsWith('x-'));
  const [first, second] = all;
  if (first === undefined) return refuse('`services` has no service', services.key, ONE_FILE);
  if (second !== undefined) {
    const names = all.map(([key]) => `\`${clip(key)}\``).join(', ');
    const lines = all.slice(0, 8).map(([key, { value }]) => `\`${clip(key)}\` ${linesOf(value.span, problems)}`);
    const hint = `make a file for each; what belongs in it: ${lines.join(', ')}`;
    return refuse(`one file is one container, and this one has ${all.length} services: ${names}`, second[1].key, hint);
  }
  const [name, service] = first;
  if (service.value.kind !== 'map') return refuse(`\`services.${clip(name)}\` must be a map`, service.key, ONE_FILE);
  checkBeside(file, problems);
  const entries = new Map(service.value.entries);
  const called = file.entries.get('name') ?? { key: service.key, value: scalarOf(name, service.key) };
  const isNamed = entries.has('container_name') || entries.has('name');
  if (!isNamed && (file.entries.has('name') || NAME.test(name))) entries.set('name', called);
  return withGiven(withNetworks({ ...service.value, entries }, file, problems), file, problems);
}

const ONE_FILE = 'one file is one container: `services: {web: {image: ./rootfs.tar.gz}}`';

function linesOf(span: Span, problems: TextProblems): string {
  const [from, to] = [problems.position(span).line, problems.position({ start: span.end - 1, end: span.end }).line];
  return from === to ? `line ${from}` : `lines ${from} to ${to}`;
}

/** Keys beside `services` that are looked at elsewhere. */
const BESIDE: ReadonlySet<string> = new Set(['services', 'name', 'version', 'networks', 'secrets', 'configs']);

/** Reports the keys beside `services` that are not supported. */
function checkBeside(file: Branch, problems: TextProblems): void {
  const refuse = (path: string, at: Span, hint: string): void => {
    problems.add('E_SPEC_UNSUPPORTED', `\`${clip(path)}\` beside \`services\` is not supported`, { path, at, hint });
  };
  for (const [key, { key: at, value }] of file.entries) {
    if (BESIDE.has(key) || key.startsWith('x-') || isEmpty(value)) continue;
    if (key !== 'volumes') refuse(key, at, whyNotBesideServices(key));
    else if (value.kind === 'map') {
      for (const [volume, entry] of value.entries) {
        if (volume.startsWith('x-')) continue;
        if (!isPlainVolume(entry.value)) refuse(`volumes.${volume}`, entry.key, PLAIN_VOLUME);
      }
    } else refuse(key, at, PLAIN_VOLUME);
  }
}

const PLAIN_VOLUME = 'a volume is known by its name alone, and made when it is first used: leave its options out';

/** `cache:`, `cache: {}` and `cache: {driver: local}` are the defaults of a volume. */
function isPlainVolume(value: Tree): boolean {
  if (value.kind === 'scalar') return value.value === null;
  if (value.kind !== 'map') return false;
  return [...value.entries].every(
    ([key, entry]) =>
      key.startsWith('x-') || (key === 'driver' && entry.value.kind === 'scalar' && entry.value.value === 'local'),
  );
}
