/** What the command may do, as the kernel shows it to the command itself. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CAPABILITIES } from '../../src/spec/capabilities.ts';
import { PRIVILEGED_SENTENCE } from '../../src/spec/privileges.ts';
import { boxctl, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self, sh as shell, specFolder, type Caller } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

const USUAL = 0xa80425fbn;
const bit = (name: string): bigint => 1n << BigInt(CAPABILITIES.findIndex((known) => known === name));
const ALL = (1n << BigInt(Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8')) + 1)) - 1n;

const sh = (script: string, spec: Readonly<Record<string, unknown>>, caller: Caller = self): Promise<Ended> =>
  shell(script, spec, caller, { args: ['up', '--allow', 'all'] });

type Sets = Record<'CapInh' | 'CapPrm' | 'CapEff' | 'CapBnd' | 'CapAmb', bigint>;

function text({ status, stdout, stderr }: Ended): string {
  if (status !== 0) throw new Error(stderr);
  return stdout.trimEnd();
}

async function setsOf(spec: Readonly<Record<string, unknown>>, caller = self): Promise<Sets> {
  const found = text(await sh('grep ^Cap /proc/self/status', spec, caller));
  const entries = found.split('\n').map((line) => line.split(/:\s+/u));
  return Object.fromEntries(entries.map(([name, value]) => [name, BigInt(`0x${value ?? ''}`)])) as Sets;
}

const rootSets = (bounding: bigint): Sets => ({
  CapInh: 0n,
  CapPrm: bounding,
  CapEff: bounding,
  CapBnd: bounding,
  CapAmb: 0n,
});

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('root has the usual capabilities, and inherits none', async () => {
    expect(await setsOf({}, caller)).toEqual(rootSets(USUAL));
  });

  test('capabilities are added and dropped by name', async () => {
    const spec = { cap_add: ['net_admin', 'CAP_SYS_PTRACE'], cap_drop: ['NET_RAW', 'CAP_MKNOD'] };
    const wanted = (USUAL | bit('CAP_NET_ADMIN') | bit('CAP_SYS_PTRACE')) & ~bit('CAP_NET_RAW') & ~bit('CAP_MKNOD');
    expect(await setsOf(spec, caller)).toEqual(rootSets(wanted));
  });

  test('ALL adds or drops every capability', async () => {
    expect(await setsOf({ cap_drop: ['ALL'] }, caller)).toEqual(rootSets(0n));
    expect(await setsOf({ cap_drop: ['ALL'], cap_add: ['CHOWN'] }, caller)).toEqual(rootSets(bit('CAP_CHOWN')));
    expect(await setsOf({ cap_add: ['ALL'], cap_drop: ['SYS_ADMIN'] }, caller)).toEqual(
      rootSets(ALL & ~bit('CAP_SYS_ADMIN')),
    );
  });

  test('without no_new_privileges, the filter is there all the same', async () => {
    const script = 'grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status; unshare -U true 2>/dev/null || echo refused';
    const spec = { no_new_privileges: false };
    expect(text(await sh(script, spec, caller))).toBe('NoNewPrivs:\t0\nSeccomp:\t2\nrefused');
    expect(await setsOf(spec, caller)).toEqual(rootSets(USUAL));
  });

  test('resource limits are lowered, soft and hard', async () => {
    const spec = { ulimits: { nofile: { soft: 100, hard: 200 }, core: 0, nproc: 50 } };
    const script = 'ulimit -Sn; ulimit -Hn; ulimit -c; grep processes /proc/self/limits';
    const [soft, hard, core, processes] = text(await sh(script, spec, caller)).split('\n');
    expect([soft, hard, core, processes?.split(/\s+/u).slice(2, 4)]).toEqual(['100', '200', '0', ['50', '50']]);
  });

  test('an unlimited resource limit of the file is unlimited inside', async () => {
    const script = 'grep "file size" /proc/self/limits';
    const found = text(await sh(script, { ulimits: { fsize: -1 } }, caller));
    expect(found).toMatch(/unlimited +unlimited/u);
  });

  test('parameters of its own namespaces are set, in either spelling, and the host keeps its own', async () => {
    const read = (path: string): string => readFileSync(`/proc/sys/${path}`, 'utf8');
    const before = [read('net/ipv4/ip_default_ttl'), read('kernel/shmmni')];
    const spec = { sysctls: { 'net.ipv4.ip_default_ttl': 77, 'kernel/shmmni': '1234' } };
    const script = 'cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmni; echo 1 > /proc/sys/kernel/shmmni';
    const { stdout, status } = await sh(script, spec, caller);
    expect([stdout, status]).toEqual(['77\n1234\n', 1]);
    expect([read('net/ipv4/ip_default_ttl'), read('kernel/shmmni')]).toEqual(before);
  });

  test('the command has the oom_score_adj of the file', async () => {
    expect(text(await sh('cat /proc/self/oom_score_adj', { oom_score_adj: 700 }, caller))).toBe('700');
  });

  test('paths are masked and made read-only beside the usual ones', async () => {
    const script = [
      'cat /etc/passwd; echo /home/*; cat /proc/keys',
      'echo x > /root/file; echo $?; echo 0 > /proc/sys/kernel/shmmni; echo $?',
    ].join('\n');
    const spec = { masked_paths: ['/etc/passwd', '/home/'], readonly_paths: ['/root'] };
    expect((await sh(script, spec, caller)).stdout).toBe('/home/*\n1\n1\n');
  });

  test('a masked file in a read-only folder reads as empty, and programs in such a folder run', async () => {
    const script =
      'cat /etc/passwd && echo empty; ls /home/ | wc -l; (echo x >/etc/passwd; echo x >/etc/x) 2>&1; echo x >/dev/null';
    const spec = { masked_paths: ['/etc/passwd', '/home/app/'], readonly_paths: ['/etc', '/home', '/bin', '/dev'] };
    expect(await sh(script, spec, caller)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^empty\n1\n(?:sh: can't create \/etc\/x: Read-only file system\n)$/u),
    });
  });

  test('a path with ! in masked_paths is not masked', async () => {
    const script = 'grep -q . /proc/keys && echo keys; grep -q " /proc/irq " /proc/self/mountinfo || echo no mount';
    const spec = { masked_paths: ['!/proc/keys'], readonly_paths: ['!/proc/irq'] };
    expect(text(await sh(script, spec, caller))).toBe('keys\nno mount');
  });

  test('a folder that is masked as a file is an error', async () => {
    const ended = await sh('true', { masked_paths: ['/home'] }, caller);
    expect(ended.status).toBe(125);
    expect(ended.stderr).toContain('with a slash at the end');
  });
});

describe.skipIf(!hasBusybox || !isRoot)('as root (needs busybox-static)', () => {
  test('another user has the capabilities that are named, in all five sets', async () => {
    const held = bit('CAP_NET_BIND_SERVICE');
    const spec = { user: 'app', cap_add: ['NET_BIND_SERVICE'] };
    expect(await setsOf(spec)).toEqual({ CapInh: held, CapPrm: held, CapEff: held, CapBnd: USUAL, CapAmb: held });
    expect(await setsOf({ user: 'app' })).toEqual({ ...rootSets(0n), CapBnd: USUAL });
    const all = { user: 'app', cap_add: ['ALL'], cap_drop: ['SYS_ADMIN'], no_new_privileges: false };
    const rest = ALL & ~bit('CAP_SYS_ADMIN');
    expect(await setsOf(all)).toEqual({ CapInh: rest, CapPrm: rest, CapEff: rest, CapBnd: rest, CapAmb: rest });
  });

  test('another user without no_new_privileges ends with no capability and with the filter', async () => {
    const spec = { user: 'app', no_new_privileges: false };
    expect(await setsOf(spec)).toEqual({ ...rootSets(0n), CapBnd: USUAL });
    const script = 'grep ^Seccomp: /proc/self/status; id -u; id -G';
    expect(text(await sh(script, spec))).toBe('Seccomp:\t2\n1000\n1000');
  });

  test('groups are added by id and by name', async () => {
    expect(text(await sh('id -G', { user: '1000:1000', group_add: [5, 'root'] }))).toBe('1000 0 5');
  });

  test('a privileged container has every capability and no filter, and boxctl warns', async () => {
    const spec = { privileged: PRIVILEGED_SENTENCE };
    expect(await setsOf(spec)).toEqual(rootSets(ALL));
    const script = 'grep ^Seccomp: /proc/self/status; grep -c -E " /proc/(sys|keys) " /proc/self/mountinfo';
    const { stdout, stderr } = await sh(script, spec);
    expect(stdout).toBe('Seccomp:\t0\n0\n');
    expect(stderr).toContain('container.yaml:');
    expect(stderr).toContain('THIS CONTAINER IS PRIVILEGED');
    const options = callerOptions(self, specFolder({ ...spec, command: ['true'] }));
    expect((await boxctl(['plan'], options)).stdout).toContain('THIS CONTAINER IS PRIVILEGED');
  });

  test('an AppArmor profile and an SELinux label are errors on a kernel that does not enforce them', async () => {
    const enforced =
      spawnSync('cat', ['/sys/module/apparmor/parameters/enabled'], { encoding: 'utf8' }).stdout === 'Y\n';
    const ended = await sh('true', { apparmor: 'boxctl-no-such-profile' });
    expect(ended.status).toBe(125);
    expect(ended.stderr).toContain(enforced ? 'aa-status' : 'AppArmor is not switched on here');
  });
});
