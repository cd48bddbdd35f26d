/** The columns of `top`, by the names that ps(1) has for them. */
import type { ContainerProcess } from '../container/processes.ts';
import { BoxctlError } from '../errors.ts';
import { didYouMean } from '../spec/suggest.ts';
import { columns } from '../text/columns.ts';

type Cell = (process: ContainerProcess, host: HostNumbers) => string;

export interface HostNumbers {
  readonly now: number;
  /** Bytes. */
  readonly memory: number;
  /** A user of the host as the container numbers it. */
  readonly uid: (uid: number) => number;
  readonly gid: (gid: number) => number;
}

const pad = (value: number): string => String(value).padStart(2, '0');

/** `[DD-]HH:MM:SS`. */
function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const days = Math.floor(seconds / 86_400);
  const time = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(pad).join(':');
  return days === 0 ? time : `${days}-${time}`;
}

/** Without the hours where there are none. */
const elapsed = (ms: number): string => clock(ms).replace(/^00:/u, '');

/** The time of today, else the day. */
function startOf({ started }: ContainerProcess, { now }: HostNumbers): string {
  const at = new Date(started);
  if (at.toDateString() === new Date(now).toDateString()) return `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  return at.toDateString().slice(4, 10).replace(' ', '');
}

const percent = (part: number, whole: number): string => (whole <= 0 ? '0.0' : ((part * 100) / whole).toFixed(1));
const cpuPercent: Cell = ({ cpuMs, started }, { now }) => percent(cpuMs, now - started);
const command: Cell = (process) => process.command.join(' ');
const kib = (bytes: number): string => String(Math.round(bytes / 1024));

interface Column {
  readonly heading: string;
  readonly cell: Cell;
}

const COLUMNS: Readonly<Record<string, Column>> = {
  pid: { heading: 'PID', cell: ({ pid }) => String(pid) },
  nspid: { heading: 'NSPID', cell: ({ ownPid }) => String(ownPid) },
  ppid: { heading: 'PPID', cell: ({ ppid }) => String(ppid) },
  uid: { heading: 'UID', cell: ({ uid }, host) => String(host.uid(uid)) },
  gid: { heading: 'GID', cell: ({ gid }, host) => String(host.gid(gid)) },
  user: { heading: 'USER', cell: ({ uid }, host) => String(host.uid(uid)) },
  huser: { heading: 'HUSER', cell: ({ uid }) => String(uid) },
  c: { heading: 'C', cell: (process, host) => String(Math.round(Number(cpuPercent(process, host)))) },
  pcpu: { heading: '%CPU', cell: cpuPercent },
  pmem: { heading: '%MEM', cell: ({ resident }, { memory }) => percent(resident, memory) },
  vsz: { heading: 'VSZ', cell: (process) => kib(process.virtual) },
  rss: { heading: 'RSS', cell: ({ resident }) => kib(resident) },
  tty: { heading: 'TTY', cell: ({ terminal }) => terminal },
  stat: { heading: 'STAT', cell: ({ state }) => state },
  ni: { heading: 'NI', cell: ({ nice }) => String(nice) },
  nlwp: { heading: 'NLWP', cell: ({ threads }) => String(threads) },
  stime: { heading: 'STIME', cell: startOf },
  lstart: { heading: 'STARTED', cell: ({ started }) => new Date(started).toISOString().replace(/\..*$/u, 'Z') },
  time: { heading: 'TIME', cell: ({ cpuMs }) => clock(cpuMs) },
  etime: { heading: 'ELAPSED', cell: ({ started }, { now }) => elapsed(Math.max(0, now - started)) },
  comm: { heading: 'COMMAND', cell: ({ name }) => name },
  args: { heading: 'COMMAND', cell: command },
  cmd: { heading: 'CMD', cell: command },
};

/** Other names that ps(1) has. */
const SAME: Readonly<Record<string, string>> = {
  '%cpu': 'pcpu',
  '%mem': 'pmem',
  vsize: 'vsz',
  rssize: 'rss',
  tt: 'tty',
  tname: 'tty',
  s: 'stat',
  state: 'stat',
  nice: 'ni',
  start: 'stime',
  start_time: 'stime',
  cputime: 'time',
  ucmd: 'comm',
  ucomm: 'comm',
  command: 'args',
  euid: 'uid',
  egid: 'gid',
  euser: 'user',
  uname: 'user',
  thcount: 'nlwp',
};

const FULL = ['uid', 'pid', 'ppid', 'c', 'stime', 'tty', 'time', 'cmd'];
const BSD = ['user', 'pid', 'pcpu', 'pmem', 'vsz', 'rss', 'tty', 'stat', 'start', 'time', 'command'];

function columnOf(word: string): Column {
  const equals = word.indexOf('=');
  const name = (equals < 0 ? word : word.slice(0, equals)).toLowerCase();
  const found = COLUMNS[SAME[name] ?? name];
  if (found === undefined) {
    const known = [...Object.keys(COLUMNS), ...Object.keys(SAME)];
    const near = didYouMean(name, known);
    throw new BoxctlError('E_USAGE', `boxctl top has no column ${word}`, {
      hint: near === undefined ? `it has ${Object.keys(COLUMNS).join(', ')}` : `did you mean ${near}?`,
    });
  }
  // `pid=NUMBER`: another heading.
  return equals < 0 ? found : { ...found, heading: word.slice(equals + 1) };
}

/** By what ps(1) would be given: `-ef`, `aux`, `-o pid,args`, `axo pid,args`. */
export function chooseColumns(words: readonly string[], wanted: readonly string[]): readonly Column[] {
  const lists = [...wanted];
  let names = FULL;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!/^[aefuxwo]+$/u.test(word) || (word.includes('o') && !word.endsWith('o'))) {
      throw new BoxctlError('E_USAGE', `boxctl top does not know ${word}`, {
        hint: 'it takes -ef, aux, and -o with columns: boxctl top NAME -o pid,rss,args',
      });
    }
    if (word.endsWith('o')) lists.push(words[++at] ?? '');
    else if (word.includes('u')) names = BSD;
  }
  const list = lists.length === 0 ? names : lists.flatMap((text) => text.split(',')).filter((word) => word !== '');
  if (list.length === 0) throw new BoxctlError('E_USAGE', '-o needs columns', { hint: '-o pid,rss,args' });
  return list.map(columnOf);
}

export const drawProcesses = (
  chosen: readonly Column[],
  processes: readonly ContainerProcess[],
  host: HostNumbers,
): string =>
  columns([
    chosen.map(({ heading }) => heading),
    ...processes.map((process) => chosen.map(({ cell }) => cell(process, host))),
  ]);
