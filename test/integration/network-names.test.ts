/** Names in a container's network: its own, those of the file, of others on the same network, and of name servers. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { makeLab, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';
import { settledState } from '../support/network-container.ts';
import type { Ended } from '../support/boxctl.ts';

type Keys = Readonly<Record<string, unknown>>;

const get = (name: string, path: string): string =>
  `printf 'GET ${path} HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${name} 80 2>&1 | tail -n 1`;
const NAMES = 'grep -v -e localhost -e ip6- /etc/hosts';
const SERVER = 'mkdir -p /w; echo served > /w/index.html; httpd -p 80 -h /w; echo ready; sleep 100';

const WHY = whyNoLab();

describe.skipIf(WHY !== undefined)(`names in a container's network (${WHY ?? 'as root'})`, () => {
  let lab: Lab;
  const resolvConf = join(mkdtempSync(join(tmpdir(), 'boxctl-test-')), 'resolv.conf');
  beforeAll(async () => {
    lab = await makeLab();
    writeFileSync(resolvConf, `search test\nnameserver ${WORLD.ipv4}\n`);
    // In the mount namespace of the lab's host alone.
    await lab.host.shell(`mount --bind ${resolvConf} /etc/resolv.conf`);
  });
  afterAll(() => lab.end());

  const folderOf = (script: string, keys: Keys): string =>
    specFolder({ stop_signal: 'SIGKILL', command: ['sh', '-c', script.replaceAll('$', '$$$$')], ...keys });

  const up = (folder: string, allow = 'all', options = {}): Promise<Ended> =>
    lab.host.boxctl(['up', '--allow', allow], { ...callerOptions(self, folder), ...options });

  const sh = (script: string, keys: Keys = {}): Promise<Ended> =>
    up(folderOf(script, { network_mode: 'bridge', ...keys }));

  /** Does something while a container runs that says "ready". */
  async function whileRuns(folder: string, use: () => Promise<void>): Promise<void> {
    let child: ChildProcess | undefined;
    let output = '';
    const onStart = (process: ChildProcess): void => {
      child = process;
      process.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    };
    const ended = up(folder, 'all', { held: true, onStart });
    try {
      const early = ended.then(({ stderr }) => Promise.reject(new Error(`it has ended: ${stderr}`)));
      await Promise.race([vi.waitFor(() => expect(output).toContain('ready'), { timeout: 20_000 }), early]);
      await use();
    } finally {
      child?.kill('SIGTERM');
      await ended;
    }
  }

  test('a container has its own name in /etc/hosts, and changes of its /etc/hosts and /etc/resolv.conf do not reach the host’s', async () => {
    const before = readFileSync('/etc/hosts', 'utf8');
    const { stdout, stderr } = await sh(
      `${NAMES}; hostname; for f in hosts hostname resolv.conf; do echo mine >> /etc/$f && tail -n 1 /etc/$f; done`,
      { hostname: 'web' },
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^10\.215\.\S+\tweb\nfd62:\S+\tweb\nweb\nmine\nmine\nmine\n$/u);
    expect(readFileSync('/etc/hosts', 'utf8')).toBe(before);
    expect(readFileSync(resolvConf, 'utf8')).not.toContain('mine');
  });

  test('a container looks names up at the host’s name server', async () => {
    const { stdout } = await sh(`cat /etc/resolv.conf; ${get('world.test', '/named')}`);
    expect(stdout).toBe(`search test\nnameserver ${WORLD.ipv4}\nfrom 192.0.2.2 /named\n`);
  });

  test('`dns`, `dns_search`, `dns_opt` and `extra_hosts` are written to /etc/resolv.conf and /etc/hosts', async () => {
    const keys = {
      dns: ['192.0.2.53', '2001:DB8::53'],
      dns_search: 'example.test',
      dns_opt: ['ndots:3'],
      extra_hosts: { mine: WORLD.ipv4, host: 'host-gateway' },
    };
    const { stdout } = await sh(`cat /etc/resolv.conf; ${NAMES} | head -n 3; ${get('mine', '/x')}`, keys);
    expect(stdout).toBe(
      'search example.test\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions ndots:3\n' +
        `${WORLD.ipv4}\tmine\n10.215.0.0\thost\nfd62:6f78:6374:6c::\thost\nfrom 192.0.2.2 /x\n`,
    );
  });

  test('a name in `egress` is reached by the address that it had at the start, without a name server', async () => {
    const keys = { egress: ['world.test:80'] };
    const script = `cat /etc/resolv.conf; ${get('world.test', '/pinned')}; nc -w 2 ${SECOND.ipv4} 80 </dev/null 2>&1`;
    const { stdout } = await sh(script, keys);
    expect(stdout).toMatch(/^# This container may ask no name server\.\nsearch test\nfrom \S+ \/pinned\n.*refused/u);
  });

  test('a name in `egress` that does not exist is an error at its line, before anything is made', async () => {
    const before = await settledState(lab.host);
    const { stderr, status } = await sh('true', { egress: ['world.test:80', 'nowhere.test:80'] });
    expect(status).toBe(125);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: nowhere\.test cannot be looked up: there is no such name/u);
    expect(await settledState(lab.host)).toEqual(before);
  });

  test('containers on one network find each other by name and by alias, and no others do', async () => {
    const folder = folderOf(SERVER, { name: 'db', networks: { back: { aliases: ['store'] } } });
    await whileRuns(folder, async () => {
      // The network belongs to the folder of the file.
      const file = join(folder, 'other.yaml');
      const text = readFileSync(join(folder, 'container.yaml'), 'utf8');
      const script = `${NAMES} | sort; ${get('db', '/')}; ${get('store', '/')}`;
      writeFileSync(
        file,
        text
          .replace(
            /^command:[^]*?(?=^\S|(?![^]))/mu,
            `command: [sh, -c, ${JSON.stringify(script.replaceAll('$', '$$$$'))}]\n`,
          )
          .replace(/^name: db$/mu, 'name: app'),
      );
      const { stdout, stderr } = await lab.host.boxctl(['up', '--allow', 'all', file], callerOptions(self, folder));
      expect(stderr).toBe('');
      expect(stdout).toMatch(/\tdb store\n/u);
      expect(stdout).toMatch(/served\nserved\n$/u);
      const other = await sh(NAMES, { networks: ['back'] });
      expect(other.stdout).not.toContain('db');
    });
  });

  test('`container:NAME` joins the network of that container, and is an error where it does not run', async () => {
    const folder = folderOf(SERVER, { name: 'shared-net', network_mode: 'bridge' });
    const join_ = { network_mode: 'container:shared-net' };
    await whileRuns(folder, async () => {
      const { stdout, stderr } = await sh(`${get('127.0.0.1', '/')}; ${get(WORLD.ipv4, '/by')}`, join_);
      expect({ stdout, stderr }).toEqual({ stdout: 'served\nfrom 192.0.2.2 /by\n', stderr: '' });
      const refused = await up(folderOf('true', join_), 'network');
      expect(refused.stderr).toContain('--allow container=shared-net');
    });
    const { stderr, status } = await sh('true', join_);
    expect(status).toBe(125);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: no container of yours that runs is called shared-net/u);
  });

  test('`container:NAME` of a container with the host’s network is an error', async () => {
    const folder = folderOf('echo ready; sleep 100', { name: 'in-host', network_mode: 'host' });
    await whileRuns(folder, async () => {
      const { stderr } = await sh('true', { network_mode: 'container:in-host' });
      expect(stderr).toContain('it is in that of the host');
    });
  });

  test('a name server of the host is relayed at an address of an interface that is down or has no carrier, too', async () => {
    await lab.host.shell(`ip link add quiet0 type veth peer name quiet1; ip link set quiet0 up
      ip addr add 172.17.0.1/16 dev quiet0; ip addr add 172.18.0.1/16 dev quiet1`);
    const servers = join(import.meta.dirname, '../support/network-servers.mjs');
    const config = { dns: { port: 53, names: { 'world.test': WORLD } } };
    const server = lab.host.start([process.execPath, servers, JSON.stringify(config)]);
    await new Promise((resolve) => server.stdout?.once('data', resolve));
    for (const address of ['172.17.0.1', '172.18.0.1']) {
      writeFileSync(resolvConf, `nameserver ${address}\n`);
      const { stdout } = await sh('cat /etc/resolv.conf; nslookup world.test');
      expect(stdout).toContain('nameserver 127.0.0.11');
      expect(stdout).toContain(WORLD.ipv4);
    }
    writeFileSync(resolvConf, `search test\nnameserver ${WORLD.ipv4}\n`);
    server.stdin?.end();
    await lab.host.shell('ip link del quiet0');
  });

  test('a plan shows made-up addresses: it claims none, and looks no name up', async () => {
    const before = await settledState(lab.host);
    const asked = lab.world.requests.length;
    const folder = folderOf('true', {
      network_mode: 'bridge',
      egress: ['world.test:80'],
      ports: ['127.0.0.1:8080:80'],
    });
    const { stdout, stderr, status } = await lab.host.boxctl(['plan'], callerOptions(self, folder));
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: 'boxctl: addresses in this plan are made up: a run claims its own, and looks names up\n',
    });
    expect(stdout).toContain('10.215.0.1');
    expect(await settledState(lab.host)).toEqual(before);
    expect(lab.world.requests.length).toBe(asked);
  });

  test('a bundle has `lo` alone, and says so: nothing is claimed, published or looked up for it', async () => {
    const before = await settledState(lab.host);
    const folder = folderOf('true', { network_mode: 'bridge', egress: ['world.test:80'], ports: ['8080:80'] });
    const { stderr, status } = await lab.host.boxctl(
      ['bundle', 'container.yaml', join(folder, 'bundle')],
      callerOptions(self, folder),
    );
    expect(status).toBe(0);
    expect(stderr).toContain('the container has `lo` alone');
    const config = JSON.parse(readFileSync(join(folder, 'bundle/config.json'), 'utf8')) as {
      linux: { namespaces: readonly object[] };
    };
    expect(config.linux.namespaces).toContainEqual({ type: 'network' });
    expect(readFileSync(join(folder, 'bundle/files/hosts'), 'utf8')).not.toContain('10.215');
    expect(await settledState(lab.host)).toEqual(before);
  });

  test('doctor tries a network, leaves no interface of it, and names a firewall that drops forwarded packets', async () => {
    const before = await settledState(lab.host);
    const doctor = async (): Promise<string> => (await lab.host.boxctl(['doctor'], callerOptions(self, '/'))).stdout;
    expect(await doctor()).toMatch(/✔ network of its own +tried/u);
    expect(await settledState(lab.host)).toMatchObject({ links: (before as { links: unknown }).links });
    await lab.host.shell(
      'nft add table inet mine; nft add chain inet mine swallow "{ type filter hook forward priority 0; policy drop; }"',
    );
    expect(await doctor()).toMatch(
      /✘ firewall +the chain swallow of the table inet mine[^]*nft insert rule inet mine swallow ip saddr 10\.215/u,
    );
    await lab.host.shell('nft delete table inet mine');
  });
});
