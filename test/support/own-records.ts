/** Records that no other test sees: any command of the same user removes what killed launchers have left. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { boxctl, PROGRAM, run, type Ended, type RunOptions } from './boxctl.ts';
import { callerOptions, ownedFolder, type Caller } from './container.ts';
import { tempFolder } from './temp.ts';
import { isRoot } from './user.ts';

type InFolder = (words: readonly string[], folder: string, options?: RunOptions) => Promise<Ended>;

/** `boxctl WORDS…` of the caller in a folder. Root's records are in /run/boxctl alone: there it is a mount namespace's own. */
export async function ownRecords(caller: Caller): Promise<InFolder> {
  if (caller.user !== undefined || !isRoot) {
    const runtime = ownedFolder(caller, 'run', tempFolder({ open: true }));
    chmodSync(runtime, 0o700);
    const env = { XDG_RUNTIME_DIR: runtime };
    return (words, folder, options) => boxctl(words, callerOptions(caller, folder, { ...options, env }));
  }
  const script = 'mkdir -p -m 700 /run/boxctl && mount -t tmpfs -o mode=700 none /run/boxctl && echo ready && exec cat';
  const holder = spawn('unshare', ['--mount', '--', 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  const enter = ['nsenter', `--target=${holder.pid}`, '--mount', '--', 'sh', '-c', 'cd "$0" && exec "$@"'];
  return (words, folder, options) =>
    run([...enter, folder, process.execPath, PROGRAM, ...words], callerOptions(caller, folder, options));
}
