/** A journal of systemd's for tests: its own program, in a mount namespace of its own, with nothing of the host's journal. */
import { spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { PROGRAM, run, type Ended } from './boxctl.ts';
import type { Box } from './background.ts';
import { asUser, userEnvironment } from './user.ts';

/** `Audit=no`: that of the kernel is the host's. */
const SCRIPT = `set -e
mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/systemd/journald.conf.d /var/log/journal
mount -t tmpfs -o mode=755 tmpfs /var/log/journal
printf '[Journal]\\nAudit=no\\nReadKMsg=no\\nStorage=%s\\n' "$0" >/run/systemd/journald.conf.d/test.conf
mkdir -p /run/systemd/journal; touch /run/systemd/journal/flushed
/lib/systemd/systemd-journald & journald=$!
trap 'kill $journald' EXIT
until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done
echo ready; read -r end || true`;

export interface Journal {
  /** boxctl in the folder of the container's file, beside this journal. `prepare`: a script of root's before it. */
  run(web: Box, words: readonly string[], prepare?: string): Promise<Ended>;
  end(): void;
}

export async function startJournal(storage: 'persistent' | 'volatile'): Promise<Journal> {
  // The test's end, however it comes, ends the script's input.
  const child = spawn('unshare', ['--mount', '--net', 'sh', '-c', SCRIPT, storage], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (status) => reject(new Error(`systemd-journald was not started (${status})`)));
  });
  const within = (prepare: string): readonly string[] => [
    'nsenter',
    `--target=${child.pid}`,
    '--mount',
    'unshare',
    '--mount',
    'sh',
    '-c',
    `${prepare}; cd "$0" && exec "$@"`,
  ];
  const start: Journal['run'] = ({ folder, caller: { user, store } }, words, prepare = ':') => {
    const command = [process.execPath, PROGRAM, ...words];
    const env = { BOXCTL_STORE: store, ...(user === undefined ? {} : userEnvironment(user)) };
    return run([...within(prepare), folder, ...(user === undefined ? command : asUser(user, command))], { env });
  };
  return {
    run: (web, words, prepare) => {
      if (words[0] === 'up') onTestFinished(async () => void (await start(web, ['rm', '--force', web.name])));
      return start(web, words, prepare);
    },
    end: () => void child.stdin.end(),
  };
}
