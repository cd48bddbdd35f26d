/** The text of a systemd unit that keeps a container running (systemd.service(5), systemd.unit(5)). Pure. */

export interface UnitWanted {
  /** Of the container. */
  readonly name: string;
  /** The words that run boxctl: the interpreter, its program, and `up`. */
  readonly command: readonly string[];
  /** Absolute. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The file passes NOTIFY_SOCKET on: the container says by itself when it is ready. */
  readonly notifies: boolean;
  readonly restart: 'no' | 'on-failure' | 'always';
  /** What the command has from its stop signal to SIGKILL, milliseconds. */
  readonly graceMs: number;
  readonly user: boolean;
  /** The unit whose sockets it gets: it is started by them, and not at boot. */
  readonly socket?: string;
}

/** The first line of a unit that boxctl has written, and may replace. */
export const WRITTEN_BY = '# Written by `boxctl install`; `boxctl uninstall` removes it.';

/** `%` begins a specifier, in every setting. */
export const plain = (text: string): string => text.replaceAll('%', '%%');

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n', '\t': '\\t', '\r': '\\r' };

/** A word in quotes. systemd undoes the escapes of C, and replaces specifiers. */
export function quoteWord(word: string): string {
  const escaped = [...plain(word)].map((char) => {
    const known = ESCAPES[char];
    if (known !== undefined) return known;
    const code = char.codePointAt(0) ?? 0;
    return code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, '0')}` : char;
  });
  return `"${escaped.join('')}"`;
}

/** In a command line, `$` begins a variable as well. */
const argument = (word: string): string => {
  const doubled = word.replaceAll('$', '$$$$');
  return /^[A-Za-z0-9_@+=:,./-]+$/u.test(doubled) ? doubled : quoteWord(doubled);
};

/** boxctl has to end after the container. */
const ROOM_MS = 5000;

export function unitText(wanted: UnitWanted): string {
  const { name, command, folder, environment, notifies, restart, graceMs, user, socket } = wanted;
  const lines = [
    WRITTEN_BY,
    '[Unit]',
    `Description=${plain(`Container ${name} (boxctl)`)}`,
    ...(user ? [] : ['Wants=network-online.target', 'After=network-online.target']),
    ...(socket === undefined ? [] : [`Requires=${socket}`]),
    '',
    '[Service]',
    ...(notifies ? ['Type=notify', 'NotifyAccess=all'] : ['Type=exec']),
    // A path is not quoted there: its blanks are its own.
    `WorkingDirectory=${plain(folder)}`,
    ...Object.entries(environment).map(([key, value]) => `Environment=${quoteWord(`${key}=${value}`)}`),
    `ExecStart=${command.map(argument).join(' ')}`,
    // boxctl passes SIGTERM on as the container's stop signal, and its launcher ends with it.
    'KillMode=mixed',
    `TimeoutStopSec=${Math.ceil((graceMs + ROOM_MS) / 1000)}`,
    `Restart=${restart}`,
    ...(restart === 'no' ? [] : ['RestartSec=1']),
    // The container's own cgroups are made below that of the unit.
    'Delegate=yes',
    '',
    '[Install]',
    socket === undefined ? `WantedBy=${user ? 'default.target' : 'multi-user.target'}` : `Also=${socket}`,
  ];
  return `${lines.join('\n')}\n`;
}
