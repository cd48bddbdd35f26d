/** What a container has of the process that started it is the same from a kept plan and by Node. */
import { describe, expect, test } from 'vitest';
import { run, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, plain, project, shell } from '../support/front-project.ts';
import { FRONT } from '../support/front.ts';
import { asUser } from '../support/user.ts';

/** What processes inherit, as far as the container is not given its own. */
const INHERITED = shell(
  [
    'ulimit -Sa; ulimit -Ha; umask; uname -m; ionice',
    'cat /proc/self/personality /proc/self/timerslack_ns /proc/self/coredump_filter /proc/self/oom_score_adj',
    // But the numbers of processes, and counts of what they have done.
    'grep -Ev "^(Pid|Tgid|PPid|Ngid|Vm|Rss|SigQ|.*ctxt_switches|NSpid|NStgid|NSpgid|NSsid|Huge|Threads|Cpus_allowed:)" /proc/self/status',
    // Process group, session, terminal and its group; priority, policy.
    'cut -d" " -f5-8,18,19,40,41 /proc/1/stat',
    'for fd in /proc/1/fd/*; do echo $fd; done',
  ].join('; '),
);

const ignoring = (signals: string): readonly string[] => ['sh', '-c', `trap "" ${signals}; exec "$@"`, 'sh'];
const after = (script: string): readonly string[] => ['sh', '-c', `${script}; exec "$@"`, 'sh'];

const CALLERS: readonly (readonly [title: string, words: readonly string[]])[] = [
  ['that is like others', []],
  ['with a lower limit of open files, whose parent has it not', ['prlimit', '--nofile=256:512']],
  ['with a soft limit of open files below the hard one', ['prlimit', '--nofile=300:']],
  ['with other limits', ['prlimit', '--core=0:1000', '--stack=4194304:', '--nproc=4000:5000', '--memlock=65536:65536']],
  ['with a umask of its own', after('umask 077')],
  ['with no umask', after('umask 0')],
  ['that is nice', ['nice', '-n', '5']],
  ['with another class of input and output', ['ionice', '-c', '3']],
  ['on one processor', ['taskset', '-c', '1']],
  ['with another scheduler', ['chrt', '-b', '0']],
  ['without random addresses', ['setarch', '-R']],
  ['of 32 bits', ['setarch', 'i686']],
  ['that ignores signals', ignoring('HUP INT USR1 PIPE')],
  ['with blocked signals', ['env', '--block-signal=USR1', '--block-signal=TERM']],
  ['in a session of its own', ['setsid', '--wait']],
  ['with other descriptors open', after('exec 3</etc/passwd 5</etc/passwd 9</etc/passwd')],
  ['without standard input', after('exec <&-')],
  ['without standard error', after('exec 2>&-')],
  ['with another score for the killer of processes', ['choom', '-n', '300', '--']],
  ['that cannot gain privileges', ['setpriv', '--no-new-privs']],
  ['that dies with its parent', ['setpriv', '--pdeathsig', 'TERM']],
];

describe.skipIf(!hasBusybox).each(callers)('a container of a caller, as %s (needs busybox-static)', (_, user) => {
  test.each(CALLERS)('%s', async (title, words) => {
    const { folder, options } = project(INHERITED, user);
    const start = (path: string): Promise<Ended> => {
      const command = [...words, 'sh', '-c', `PATH=${path} exec "$@"`, 'sh', FRONT, 'up', '--quiet'];
      const as = user === undefined ? command : asUser(user, command);
      return run(as, { cwd: folder, env: { ...options.env } });
    };
    const PATH = '/usr/local/bin:/usr/bin:/bin';
    const fresh = await start(PATH);
    expect({ title, ended: plain(fresh) }).toMatchObject({ title, ended: { status: 0, stderr: '' } });
    await start(PATH);
    const kept = await start('/nowhere');
    // Without one of the three, Node has to open /dev/null in its place.
    if (title.startsWith('without standard ')) expect(plain(await start(PATH))).toEqual(plain(fresh));
    else expect({ title, ended: plain(kept) }).toEqual({ title, ended: plain(fresh) });
  });
});

describe.skipIf(!hasBusybox).each(callers)(
  'with very few open files, a container of %s (needs busybox-static)',
  (_, user) => {
    const limits = shell('ulimit -Sn; ulimit -Hn');
    const start = (spec: Readonly<Record<string, unknown>>, limit: string): Promise<Ended> => {
      const { options } = project({ ...limits, ...spec }, user);
      return run(['prlimit', `--nofile=${limit}`, FRONT, 'up', '--quiet', '--allow', 'all'], options);
    };

    test.each([
      ['its caller’s limits', {}, '10\n4096\n'],
      ['its caller’s limits where each call of it is looked at', { seccomp: 'log' }, '10\n4096\n'],
      ['its caller’s limits beside a first process of boxctl’s', { init: true }, '10\n4096\n'],
      ['those of the file, where it sets them', { ulimits: { nofile: 1024 } }, '1024\n1024\n'],
    ])('has %s', async (title, spec, stdout) => {
      expect({ title, ended: plain(await start(spec, '10:4096')) }).toMatchObject({
        title,
        ended: { status: 0, stdout },
      });
    });

    test('needs more than Node can do with: that is said in words', async () => {
      expect(plain(await start({}, '12:12'))).toEqual({
        status: 125,
        stdout: '',
        stderr:
          'boxctl: error: no more than 12 files may be open at a time here, and Node needs 20\n' +
          '  raise the hard limit, as root: ulimit -Hn 4096; of a service: LimitNOFILE=4096\n',
      });
    });
  },
);
