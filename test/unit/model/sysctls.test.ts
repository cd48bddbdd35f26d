import { describe, expect, test } from 'vitest';
import { pingGroups } from '../../../src/model/sysctls.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { linesOf, planOf } from '../../support/plan.ts';

const FILE = 'name: box\nimage: {host_tools: [sh]}\ncommand: [sh]\n';
const NEW_KERNEL = { ...ROOT_HOST, kernel: { release: '6.14.2', major: 6, minor: 14 } };

const written = (more: string, name: string, host = NEW_KERNEL): string | undefined => {
  const line = linesOf(planOf(`${FILE}${more}`, host)).find((text) => text.includes(` sysctl.${name}.write: `));
  return line === undefined ? undefined : /"", "([^"]*)"/u.exec(line)?.[1];
};

describe('groups that may use ping', () => {
  test.each([
    ['one range', [{ container: 0, host: 524_288, size: 65_536 }], '0 65535'],
    [
      'a user and the ids after it',
      [
        { container: 0, host: 1000, size: 1 },
        { container: 1, host: 100_000, size: 65_536 },
      ],
      '0 65536',
    ],
    [
      'an own id that is kept, between others',
      [
        { container: 0, host: 100_000, size: 1000 },
        { container: 1000, host: 1000, size: 1 },
        { container: 1001, host: 101_000, size: 64_536 },
      ],
      '1000 65536',
    ],
    [
      'an order that is another outside',
      [
        { container: 0, host: 200_000, size: 5 },
        { container: 5, host: 100_000, size: 50 },
      ],
      '5 54',
    ],
    ['ids above what the kernel takes', [{ container: 0, host: 0, size: 4_294_967_295 }], '0 2147483647'],
    ['no map', undefined, '0 2147483647'],
  ] as const)('are the widest range that the kernel takes, for %s', (_title, maps, expected) => {
    expect(pingGroups(maps)).toBe(expected);
  });
});

describe('parameters of a network namespace of its own', () => {
  test('let every port be bound, and ping be used, without a capability', () => {
    expect(written('', 'net.ipv4.ip_unprivileged_port_start')).toBe('0');
    expect(written('', 'net.ipv4.ping_group_range')).toBe('0 65535');
  });

  test('have the value of the file where it has one', () => {
    const more = 'sysctls: {net.ipv4.ip_unprivileged_port_start: 1024, net.ipv4.ping_group_range: "5 6"}\n';
    expect(written(more, 'net.ipv4.ip_unprivileged_port_start')).toBe('1024');
    expect(written(more, 'net.ipv4.ping_group_range')).toBe('5 6');
  });

  test('are not written to the host’s network or to one that is joined', () => {
    expect(written('namespaces: {net: host}\n', 'net.ipv4.ip_unprivileged_port_start')).toBeUndefined();
    expect(written('namespaces: {net: /proc/5/ns/net}\n', 'net.ipv4.ping_group_range')).toBeUndefined();
  });
});

describe('kernel.pid_max', () => {
  test('kernel.pid_max is 4096 by default, for root and for users', () => {
    expect(written('', 'kernel.pid_max')).toBe('4096');
    const user = { ...USER_HOST, kernel: NEW_KERNEL.kernel };
    expect(written('', 'kernel.pid_max', user)).toBe('4096');
  });

  test.each([
    ['the file has a limit', 'limits: {pids: 20000}\n', NEW_KERNEL],
    ['the process namespace is the host’s', 'namespaces: {pid: host}\n', NEW_KERNEL],
    ['the kernel has one for all namespaces', '', ROOT_HOST],
  ])('kernel.pid_max is not set where %s', (_title, more, host) => {
    expect(written(more, 'kernel.pid_max', host)).toBeUndefined();
  });

  test('kernel.pid_max of the file is set, and an error before Linux 6.14', () => {
    const more = 'sysctls: {kernel.pid_max: 100000}\n';
    expect(written(more, 'kernel.pid_max')).toBe('100000');
    expect(() => planOf(`${FILE}${more}`, ROOT_HOST)).toThrow('before Linux 6.14');
  });
});

describe('the owner of the user namespace', () => {
  const owner = (more: string, host = ROOT_HOST): string | undefined =>
    /setresuid\(-1, (\d+), -1\)/u.exec(linesOf(planOf(`${FILE}${more}`, host)).join('\n'))?.[1];

  test.each([
    ['the container’s root, where nobody else has its id', '', '524288'],
    ['nobody, where a person of the host has the id', 'uid_map: ["0:1000:1"]\n', '2147418112'],
    ['nobody, where root has it', 'uid_map: ["0:0:65536"]\n', '2147418112'],
    ['nobody, where a user has the range', 'uid_map: ["0:100000:65536"]\n', '2147418112'],
    ['nobody, where a person has the group', 'uid_map: ["0:300000:10"]\ngid_map: ["0:27:1"]\n', '2147418112'],
    ['the root of a range of its own', 'uid_map: auto\n', '1879048192'],
  ])('the owner of the user namespace is %s', (_title, more, expected) => {
    expect(owner(more)).toBe(expected);
  });

  test('the owner of the user namespace is the caller for a user, for root without CAP_SETPCAP, and where the namespace is the host’s', () => {
    expect(owner('', USER_HOST)).toBeUndefined();
    expect(owner('', { ...ROOT_HOST, setsSecurebits: false })).toBeUndefined();
    expect(owner('namespaces: {user: host}\n')).toBeUndefined();
  });
});
