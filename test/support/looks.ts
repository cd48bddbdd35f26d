/** What a container in the background is, in a form that is the same for each start of the same file. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** As `boxctl inspect` tells of it. */
interface Inspected {
  readonly Id: string;
  readonly Folder: string;
  readonly State: { readonly Pid: number };
  readonly HostConfig: { readonly NetworkMode: string };
}

/** These are of one run; `container.json` has its id and the time, too. `exec-`: of commands that have joined it meanwhile. */
const OF_A_RUN = /^(?:lock|events(?:\.\d+)?|container\.json|exec-.*)$/u;

const STATUS = /^(?:Uid|Gid|Groups|NoNewPrivs|Cap\w+|Seccomp|Seccomp_filters):.*$/gmu;

/** What is claimed for a network is in addresses, names and marks, and may be another claim in each start. */
const HAVE_CLAIMS: ReadonlySet<string> = new Set(['plan.json', 'ending.json']);

function files({ Id, Folder, HostConfig }: Inspected): Readonly<Record<string, string>> {
  const hasClaims = !['none', 'host'].includes(HostConfig.NetworkMode);
  const names = readdirSync(Folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  const texts = names
    .filter(({ name }) => !OF_A_RUN.test(name) && !(hasClaims && HAVE_CLAIMS.has(name)))
    .map(({ name }) => [name, readFileSync(join(Folder, name), 'utf8').replaceAll(Id, 'ID')]);
  return Object.fromEntries(texts) as Record<string, string>;
}

/** Without the numbers that the kernel gives anew to each mount and file system. */
const mounts = (text: string): readonly string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\d+ \d+ \d+:\d+ /u, '').replaceAll(/ (?:shared|master|propagate_from):\d+/gu, ''))
    .toSorted();

/** What the kernel says of its first process. Undefined where that has ended, or may not be looked at. */
function process({ Id, State }: Inspected): object | undefined {
  const read = (name: string): string => readFileSync(`/proc/${State.Pid}/${name}`, 'utf8').replaceAll(Id, 'ID');
  const own = (kind: string): boolean =>
    readlinkSync(`/proc/${State.Pid}/ns/${kind}`) !== readlinkSync(`/proc/self/ns/${kind}`);
  try {
    return {
      mounts: mounts(read('mountinfo')),
      status: read('status').match(STATUS),
      limits: read('limits'),
      oom: read('oom_score_adj'),
      cgroup: read('cgroup'),
      uids: read('uid_map'),
      gids: read('gid_map'),
      time: read('timens_offsets'),
      namespaces: ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'].filter(own),
    };
  } catch {
    return undefined;
  }
}

/** Flat: each name with what was found. */
export type Looks = Readonly<Record<string, string>>;

/** `json`: what `boxctl inspect` has printed. */
export function looks(json: string): Looks {
  const [inspected] = JSON.parse(json) as readonly [Inspected];
  const found = Object.entries(process(inspected) ?? {}).map(([name, value]) => [
    `process.${name}`,
    JSON.stringify(value),
  ]);
  return { ...files(inspected), ...(Object.fromEntries(found) as Looks) };
}

/** The first place where they differ. */
function place(one: string, other: string): string {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const around = (text: string): string => text.slice(Math.max(0, at - 80), at + 80);
  return `${around(one)}\n    not ${around(other)}`;
}

/** A sentence for each thing that differs. A process that has ended shows nothing. */
export function differences(one: Looks | undefined, other: Looks | undefined): readonly string[] {
  if (one === undefined || other === undefined) return [];
  const isSeen = (name: string): boolean => !name.startsWith('process.') || (name in one && name in other);
  return [...new Set([...Object.keys(one), ...Object.keys(other)])]
    .filter((name) => isSeen(name) && one[name] !== other[name])
    .map((name) => `${name}: ${place(one[name] ?? 'is not there', other[name] ?? 'is not there')}`);
}
