/** The addon, typed. Every failure of a system call is an Error with `code` (the errno's name) and `syscall`. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getSystemErrorName } from 'node:util';
import { BoxctlError } from './errors.ts';
import { noteGap, notePath, note, isRecording, absolute } from './inputs/record.ts';

export interface LauncherProcess {
  readonly pid: number;
  /** Belongs to the caller until `reap`. */
  readonly pidfd: number;
  /** The owner's end of the control socket; the container dies when it is closed. */
  readonly socket: number;
}

/** How a plan is started by the launcher that is already there: what START_REQUEST of src/kernel/wire.ts has. */
export interface StartRequest {
  readonly flags: number;
  /** 12 hex digits; 0: one is chosen. */
  readonly id: string;
  readonly patchAt: number;
  readonly patchOld: number;
  readonly patch: Uint8Array;
}

export interface Asked {
  /** As that of `LauncherProcess`. */
  readonly socket: number;
  readonly id: string;
}

export interface FileStatus {
  readonly mode: number;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
}

/** Why `attach` has ended: `value` is the exit status, the signal, or an errno of descriptor 1 or 2. */
export interface AttachEnd {
  readonly how: 'exited' | 'signaled' | 'gone' | 'detached' | 'output';
  readonly value: number;
}

export interface InterfaceAddress {
  readonly device: string;
  readonly address: string;
  /** The interface is down or has no carrier. */
  readonly isIdle: boolean;
}

interface Addon {
  spawnLauncher(
    program: string,
    plan: Uint8Array,
    stdin: number,
    stdout: number,
    stderr: number,
    kept: readonly number[],
    userIds: readonly number[] | undefined,
  ): LauncherProcess;
  connectTo(folder: string, name: string): number;
  sealPlan(plan: Uint8Array): number;
  askLauncher(
    program: string,
    plan: Uint8Array | number,
    request: StartRequest,
    stdin: number,
    stdout: number,
    stderr: number,
    kept: readonly number[],
  ): Asked | undefined;
  dismissLauncher(): void;
  listenToLaunchers(onRecords: (socket: number, records: Buffer | undefined) => void): void;
  watch(socket: number): void;
  hangUp(socket: number): void;
  attach(
    socket: number,
    input: boolean,
    terminal: boolean,
    fromStart: boolean,
    keys: Uint8Array,
    onEnd: (how: AttachEnd['how'], value: number) => void,
  ): void;
  reap(pidfd: number): void;
  startedWithFiles(limit: number): void;
  catchSignals(except: readonly number[]): void;
  passSignals(socket: number, launcher: number): void;
  releaseSignals(): void;
  endProcess(pid: number, birth: string): boolean;
  signalProcess(pid: number, birth: string, signal: number): boolean;
  endNamespace(id: string): boolean;
  readInRoot(root: string, path: string, maxBytes: number): Buffer | undefined;
  statInRoot(root: string, path: string): FileStatus | undefined;
  openOwn(path: string, folder: boolean): number;
  mountIndex(index: string, data: number | string): number | undefined;
  tryLock(fd: number, exclusive: boolean): boolean;
  pipe(size?: number): [read: number, write: number];
  sha256(data: Uint8Array): string;
  probeCalls(): Record<string, number>;
  interfaceAddresses(without: string): string;
  terminalState(fd: number): Buffer | undefined;
  restoreTerminal(fd: number, state: Uint8Array): void;
  terminalColumns(fd: number): number;
  terminalRows(fd: number): number;
}

/** The folder of the built files: from a bundle in dist, or from the sources. */
function nativeFolder(): string {
  const here = typeof __dirname === 'string' ? __dirname : dirname(fileURLToPath(import.meta.url));
  for (let folder = here; ; folder = dirname(folder)) {
    const candidate = join(folder, 'dist/native');
    if (existsSync(candidate)) return candidate;
    if (dirname(folder) === folder) return candidate;
  }
}

/** The folder that boxctl is built in, without links. */
export const ownFolder = (): string => realpathSync.native(dirname(nativeFolder()));

/** Of what boxctl itself consists, as it is installed: all that decides what a plan is, and how it is carried out. */
export function ownFiles(): readonly string[] {
  const native = nativeFolder();
  const names = ['boxctl', 'boxctl.cjs', 'start.pack', 'rest.pack', 'network.pack'];
  const programs = ['boxctl.node', 'boxctl-launcher', 'boxctl-imager'];
  return [...names.map((name) => join(dirname(native), name)), ...programs.map((name) => join(native, name))];
}

let filesAtStart = 0;

/** Notes the soft limit of open files that boxctl was started with: Node has raised it since, and a container gets what it was. */
export function startedWithFiles(limit: number): void {
  filesAtStart = limit;
}

let loaded: { readonly addon: Addon; readonly folder: string } | undefined;

function load(): { readonly addon: Addon; readonly folder: string } {
  if (loaded !== undefined) return loaded;
  const folder = nativeFolder();
  const path = join(folder, 'boxctl.node');
  try {
    // Not by `require`, which looks for a package.json in each folder above.
    const module = { exports: {} };
    process.dlopen(module, path);
    loaded = { addon: module.exports as Addon, folder };
    if (filesAtStart > 0) loaded.addon.startedWithFiles(filesAtStart);
    return loaded;
  } catch (error) {
    throw new BoxctlError('E_NATIVE_MISSING', `the native part cannot be loaded: ${path}: ${messageOf(error)}`, {
      hint: existsSync(path)
        ? `it was built for another Node or machine than ${process.version} on ${process.arch}: run \`npm run build\``
        : 'run `npm run build`, which needs a C++ compiler such as g++',
      cause: error,
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Gives the error of a failed system call its name. */
function named(error: unknown): unknown {
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') return error;
  const code = getSystemErrorName(-error.errno);
  const syscall = 'syscall' in error ? String(error.syscall) : '';
  return Object.assign(new Error(`${syscall}: ${code}`, { cause: error }), { code, syscall });
}

function invoke<T>(use: (addon: Addon, folder: string) => T): T {
  const { addon, folder } = load();
  try {
    return use(addon, folder);
  } catch (error) {
    throw named(error);
  }
}

/** The two interpreters of plans: the imager knows the calls that work on images, too. */
export type Interpreter = 'launcher' | 'imager';

export interface SpawnOptions {
  /** Descriptors of this process that the interpreter keeps open until it ends; they stay open here. */
  readonly kept?: readonly number[];
  /** `Plan.userIds`: where none of them can write to the interpreter's file, it is executed without a copy. */
  readonly userIds?: readonly { readonly first: number; readonly size: number }[] | undefined;
}

/** Starts an interpreter with an encoded plan. `stdio` are descriptors of this process, which stay open here. */
export function spawnLauncher(
  plan: Uint8Array,
  stdio: readonly [number, number, number],
  interpreter: Interpreter,
  { kept = [], userIds }: SpawnOptions = {},
): LauncherProcess {
  const ids = userIds?.flatMap(({ first, size }) => [first, size]);
  return invoke((addon, folder) =>
    addon.spawnLauncher(join(folder, `boxctl-${interpreter}`), plan, ...stdio, kept, ids),
  );
}

/** A plan in a file in memory that nobody can change; its descriptor is the caller's to close. */
export function sealPlan(plan: Uint8Array): number {
  return invoke((addon) => addon.sealPlan(plan));
}

/**
 * A detached mount of an EROFS index over its data, a path or a descriptor: the descriptor is the caller's to close. Undefined: this
 * kernel makes no copies of such a mount.
 */
export function mountIndex(index: string, data: number | string): number | undefined {
  return invoke((addon) => addon.mountIndex(index, data));
}

/**
 * Has a plan started by the launcher that is already there, which is started itself where there is none. `plan`: encoded, or
 * the descriptor of `sealPlan`. Undefined: so many starts wait already that this one has to be asked for again later.
 */
export function askLauncher(
  plan: Uint8Array | number,
  request: StartRequest,
  stdio: readonly [number, number, number],
  kept: readonly number[] = [],
): Asked | undefined {
  return invoke((addon, folder) => addon.askLauncher(join(folder, 'boxctl-launcher'), plan, request, ...stdio, kept));
}

/** Ends the launcher of `askLauncher`; its containers go on. The next request starts another one. */
export function dismissLauncher(): void {
  invoke((addon) => addon.dismissLauncher());
}

/**
 * Connects to a launcher that runs on its own, by the name of its socket in a folder of the caller's. Gives the descriptor,
 * for `watch`. Throws ENOENT or ECONNREFUSED where it does not run any more.
 */
export function connectTo(folder: string, name: string): number {
  return invoke((addon) => addon.connectTo(folder, name));
}

const watchers = new Map<number, (records: Buffer | undefined) => void>();

/**
 * Reads a launcher's events on another thread: whole records as they come, and undefined at the end, until when the
 * socket has to stay open. `onRecords` must not throw.
 */
export function watch(socket: number, onRecords: (records: Buffer | undefined) => void): void {
  invoke((addon) => {
    if (watchers.size === 0) addon.listenToLaunchers(dispatch);
    watchers.set(socket, onRecords);
    addon.watch(socket);
  });
}

function dispatch(socket: number, records: Buffer | undefined): void {
  const onRecords = watchers.get(socket);
  if (records === undefined) watchers.delete(socket);
  onRecords?.(records);
}

/**
 * Carries descriptors 0 to 2 to a launcher's socket and back, on another thread, until the command ends or `keys` are typed.
 * `terminal`: the command has one, so that a terminal that is descriptor 0 is raw meanwhile. `fromStart`: it is yet to be started.
 */
export function attach(
  socket: number,
  input: boolean,
  terminal: boolean,
  fromStart: boolean,
  keys: Uint8Array,
  onEnd: (end: AttachEnd) => void,
): void {
  invoke((addon) => addon.attach(socket, input, terminal, fromStart, keys, (how, value) => onEnd({ how, value })));
}

/** Ends the conversation with a launcher, which then ends its container; `watch` still tells the end. */
export function hangUp(socket: number): void {
  invoke((addon) => addon.hangUp(socket));
}

/** Waits for a launcher whose socket has ended, and closes its pidfd. */
export function reap(pidfd: number): void {
  invoke((addon) => addon.reap(pidfd));
}

/**
 * Keeps every signal that this process gets and that can be passed on to a container, but those of the list, until
 * `passSignals`. Node's own listeners know no real-time signals, and would be asked in vain while this process is stopped.
 */
export function catchSignals(except: readonly number[]): void {
  invoke((addon) => addon.catchSignals(except));
}

/** From now on what `catchSignals` catches goes to this launcher, with what was caught before. */
export function passSignals(socket: number, launcher: number): void {
  invoke((addon) => addon.passSignals(socket, launcher));
}

/** Signals do again what they did before `catchSignals`. */
export function releaseSignals(): void {
  invoke((addon) => addon.releaseSignals());
}

/**
 * Kills the process, if it is the one with this birth (native/shared/birth.h), and waits for its end. True when it is
 * gone, or was another.
 */
export function endProcess(pid: number, birth: string): boolean {
  return invoke((addon) => addon.endProcess(pid, birth));
}

/** Sends the process a signal, if it is the one with this birth. False: it is gone, or was another. */
export function signalProcess(pid: number, birth: string, signal: number): boolean {
  return invoke((addon) => addon.signalProcess(pid, birth, signal));
}

/** Kills all processes in the mount namespace with this id (native/shared/namespace_id.h). False when some stay. */
export function endNamespace(id: string): boolean {
  return invoke((addon) => addon.endNamespace(id));
}

/**
 * The content of a regular file inside a root, with links followed within the root (openat2(2), RESOLVE_IN_ROOT).
 * Undefined when there is none. Fails with EFBIG when it is larger than `maxBytes`.
 */
export function readInRoot(root: string, path: string, maxBytes: number): Buffer | undefined {
  noteGap(`${path} in ${root} was read, with links followed inside of it`);
  return invoke((addon) => addon.readInRoot(root, path, maxBytes));
}

/** What a path inside a root is, with links followed within the root; undefined when there is nothing. */
export function statInRoot(root: string, path: string): FileStatus | undefined {
  noteGap(`${path} in ${root} was looked at, with links followed inside of it`);
  return invoke((addon) => addon.statInRoot(root, path));
}

/**
 * Opens a file for reading, or a folder as a place (O_PATH), that belongs to the caller and that nobody else can write to, with
 * no symbolic link on the way. Fails with ELOOP for a link, with EPERM for another owner, mode or kind.
 */
export function openOwn(path: string, kind: 'file' | 'folder'): number {
  notePath(path);
  const fd = invoke((addon) => addon.openOwn(path, kind === 'folder'));
  if (isRecording()) note({ kind: 'real', path: absolute(path), leads: absolute(path) });
  return fd;
}

/** flock(2) without waiting; false when somebody else holds it. */
export function tryLock(fd: number, exclusive: boolean): boolean {
  return invoke((addon) => addon.tryLock(fd, exclusive));
}

/** pipe2(2) with O_CLOEXEC: the reading and the writing end. `size`: as many bytes as it should hold, where that can be had. */
export function pipe(size?: number): readonly [read: number, write: number] {
  return invoke((addon) => (size === undefined ? addon.pipe() : addon.pipe(size)));
}

/**
 * The digest as 64 hex digits; of a text, that of its UTF-8. Node's own module would take longer to load than everything
 * else that is done for an image that is at hand.
 */
export function sha256(data: string | Uint8Array): string {
  return invoke((addon) => addon.sha256(typeof data === 'string' ? Buffer.from(data) : data));
}

/**
 * What this kernel, or the filter around us, answers to calls that boxctl needs: an errno each, ENOSYS where there is no
 * such call. `landlock_create_ruleset` is the version of Landlock, or 0.
 */
export function probeCalls(): Readonly<Record<string, number>> {
  return invoke((addon) => addon.probeCalls());
}

/**
 * The addresses of the interfaces. Those are left out whose names are `without` and a number. `os.networkInterfaces()`
 * asks for the interfaces as well: that waits as long as the kernel adds or removes one, as that of a container that has just ended.
 */
export function interfaceAddresses(without: string): readonly InterfaceAddress[] {
  const text = invoke((addon) => addon.interfaceAddresses(without));
  note({ kind: 'addresses', without, text });
  return text
    .trimEnd()
    .split('\n')
    .flatMap((line) => {
      const [device, hex = '', idle] = line.split(' ');
      if (device === undefined || hex === '') return [];
      const bytes = Buffer.from(hex, 'hex');
      const address = bytes.length === 4 ? bytes.join('.') : (hex.match(/.{4}/gu) ?? []).join(':');
      return [{ device, address, isIdle: idle !== undefined }];
    });
}

/** The settings of a terminal (tcgetattr(3)), to be put back later; undefined when it is none. */
export function terminalState(fd: number): Uint8Array | undefined {
  return invoke((addon) => addon.terminalState(fd));
}

export function restoreTerminal(fd: number, state: Uint8Array): void {
  invoke((addon) => addon.restoreTerminal(fd, state));
}

/** Columns of a terminal (TIOCGWINSZ, ioctl_tty(2)); 0 where it is none, or does not say. */
export function terminalColumns(fd: number): number {
  return invoke((addon) => addon.terminalColumns(fd));
}

/** Rows of a terminal, likewise. */
export function terminalRows(fd: number): number {
  return invoke((addon) => addon.terminalRows(fd));
}
