/** The relay of a published port, started as boxctl starts it, from a plan whose network steps are the test's own. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import { AT_FDCWD } from '../../../src/kernel/calls.ts';
import { AF, O, SOCK } from '../../../src/kernel/constants.ts';
import type { LaunchEvent } from '../../../src/launcher/events.ts';
import { launch } from '../../../src/launcher/launch.ts';
import { planContainer } from '../../../src/plan/container.ts';
import type { Plan, Step } from '../../../src/plan/plan.ts';
import { Steps, byDefault } from '../../../src/plan/steps.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { makeLauncherHost, type LauncherHost } from '../../support/launcher-host.ts';
import { testImage, testModel } from '../../support/model.ts';
import { isRoot } from '../../support/user.ts';

let launcherHost: LauncherHost;
let folder: string;
let host: HostFacts;

beforeAll(() => {
  launcherHost = makeLauncherHost('relay');
  ({ folder, host } = launcherHost);
});
afterAll(() => launcherHost.remove());

/** Listens at a free port of 127.0.0.1 and of ::1, and carries connections to port 8080 of the container's loopback. */
function publishing(): readonly Step[] {
  const steps = new Steps();
  const place = { group: 'network', side: 'host', because: byDefault('the test') } as const;
  const namespace = steps.add(place, 'port.netns', 'openat2', {
    dirfd: AT_FDCWD,
    pathname: { template: '/proc/$CHILD/ns/net' },
    flags: O.O_RDONLY | O.O_CLOEXEC,
    mode: 0,
    resolve: 0,
  });
  const socket = (id: string, domain: number) =>
    steps.add(place, id, 'socket', { domain, type: SOCK.SOCK_STREAM, protocol: 0 });
  const [ipv4, ipv6] = [socket('port.ipv4', AF.AF_INET), socket('port.ipv6', AF.AF_INET6)];
  const publishes = { hostAddress: undefined, port: 8080, protocol: 'tcp' } as const;
  const both = { fd: ipv4, address: '127.0.0.1', other: ipv6, other_address: '::1' };
  steps.add(place, 'port.bind', 'bind_free', both, { publishes });
  for (const fd of [ipv4, ipv6]) {
    steps.add(place, `${fd}.listen`, 'listen', { fd, backlog: 128 });
    const to = { netns: namespace, targets: ['127.0.0.1:8080'], most: 0, idle: 0 };
    steps.add(place, `${fd}.relay`, 'relay', { fd, ...to });
  }
  return steps.list;
}

function planFor(script: string): Plan {
  const model = testModel({ host, args: ['sh', '-c', script] });
  const plan = planContainer(model, testImage(join(folder, 'rootfs')), host);
  // Once the first process has made its network namespace.
  const at = plan.steps.findIndex(({ id }) => id === 'network');
  return { ...plan, steps: [...plan.steps.slice(0, at), ...publishing(), ...plan.steps.slice(at)] };
}

async function fetchFrom(port: number, address: string): Promise<string> {
  const socket = connect(port, address);
  socket.setEncoding('utf8');
  let got = '';
  socket.on('data', (text) => (got += String(text)));
  return new Promise((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.on('end', () => resolve(got));
    socket.on('connect', () => socket.write('hello\n'));
  });
}

describe.skipIf(!hasBusybox || !isRoot)('relay (needs root and the Debian package busybox-static)', () => {
  test('a free port of the host leads to the server inside, over both families, until the container ends', async () => {
    const plan = planFor('trap "exit 5" TERM; nc -ll -p 8080 -e cat & while :; do sleep 0.05; done');
    const events: LaunchEvent[] = [];
    const started = launch(plan, { onEvent: (event) => events.push(event) });
    while (!events.some(({ kind }) => kind === 'started')) await sleep(5);
    const told = events.find((event) => event.kind === 'port');
    expect(plan.steps[told?.index ?? 0]?.publishes).toMatchObject({ port: 8080 });
    const port = told?.port ?? 0;
    expect(port).toBeGreaterThan(1023);
    // The server may not listen yet: the connection is reset then.
    let answer = '';
    for (let i = 0; i < 1000 && answer !== 'hello\n'; i++) {
      const socket = connect(port, '127.0.0.1', () => socket.end('hello\n'));
      answer = await new Promise((resolve) => {
        socket.on('data', (text) => resolve(String(text)));
        socket.on('error', () => resolve(''));
      });
      socket.destroy();
      await sleep(20);
    }
    expect(answer).toBe('hello\n');
    const six = connect(port, '::1', () => six.write('six'));
    expect(await new Promise((resolve) => six.on('data', (text) => resolve(String(text))))).toBe('six');
    started.signal(15);
    expect(await started.done).toMatchObject({ kind: 'exited', status: 5 });
    six.destroy();
    expect(await fetchFrom(port, '127.0.0.1')).toBe('ECONNREFUSED');
  });

  test('a signal is passed on and the end is told at once, while many connections are pumped through', async () => {
    const plan = planFor('trap "exit 9" TERM; nc -ll -p 8080 -e cat /dev/zero & while :; do sleep 0.05; done');
    const events: LaunchEvent[] = [];
    const started = launch(plan, { onEvent: (event) => events.push(event) });
    while (!events.some(({ kind }) => kind === 'started')) await sleep(5);
    const port = events.find((event) => event.kind === 'port')?.port ?? 0;
    await sleep(300);
    const sockets = Array.from({ length: 200 }, (_, i) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      // Half of the clients never read.
      if (i % 2 === 0) socket.resume();
      return socket;
    });
    await sleep(1000);
    started.signal(15);
    expect(await started.done).toMatchObject({ kind: 'exited', status: 9 });
    for (const socket of sockets) socket.destroy();
  });
});
