/** What carries an ordinary user's packets, on hosts that are data. */
import { describe, expect, test } from 'vitest';
import { gatherNetworkPrograms, installCommand, TUN } from '../../../src/host/network-programs.ts';
import type { Entry, HostReader } from '../../../src/host/read.ts';
import { fakeReader } from './reader.ts';

const folder = (uid = 0, mode = 0o755): Entry => ({ kind: 'folder', uid, gid: uid, mode });
const program = (uid = 0, mode = 0o755): Entry => ({ kind: 'other', uid, gid: uid, mode });
const link = (target: string): Entry => ({ kind: 'link', uid: 0, gid: 0, mode: 0o777, target });

function host(entries: Readonly<Record<string, Entry>>, files: Readonly<Record<string, string>> = {}): HostReader {
  const all: Readonly<Record<string, Entry>> = { '/': folder(), '/usr': folder(), '/usr/bin': folder(), ...entries };
  const read = fakeReader({ files, writable: [TUN] });
  return { ...read, exists: (path) => path in all || read.exists(path), entry: (path) => all[path] };
}
const found = (entries: Readonly<Record<string, Entry>>, path = '', euid = 1000) =>
  gatherNetworkPrograms(host(entries), { euid, path });

describe('programs for the network of an ordinary user', () => {
  test('are found in the standard folders, with links followed', () => {
    const entries = { '/usr/bin/pasta': link('passt'), '/usr/bin/passt': program(), '/usr/bin/slirp4netns': program() };
    expect(found(entries)).toMatchObject({ pasta: '/usr/bin/passt', slirp4netns: '/usr/bin/slirp4netns' });
  });

  test('are found in PATH, where root alone can have put them', () => {
    const nix = { '/nix': folder(), '/nix/bin': folder(), '/nix/bin/pasta': program() };
    expect(found(nix, '/nix/bin')).toMatchObject({ pasta: '/nix/bin/pasta' });
    expect(found(nix, 'nix/bin:.')).not.toHaveProperty('pasta');
  });

  test.each([
    ['a program of the user’s', { '/home': folder(), '/home/bin': folder(1000), '/home/bin/pasta': program(1000) }],
    [
      'root’s program in a folder of the user’s',
      { '/home': folder(), '/home/bin': folder(1000), '/home/bin/pasta': program() },
    ],
    ['one that others can write', { '/home': folder(), '/home/bin': folder(), '/home/bin/pasta': program(0, 0o777) }],
    ['one that cannot be executed', { '/home': folder(), '/home/bin': folder(), '/home/bin/pasta': program(0, 0o644) }],
    ['a folder', { '/home': folder(), '/home/bin': folder(), '/home/bin/pasta': folder() }],
    [
      'a link to a program of the user’s',
      { '/home': folder(), '/home/bin': folder(), '/home/bin/pasta': link('/home/own'), '/home/own': program(1000) },
    ],
  ])('are not %s', (_what, entries: Readonly<Record<string, Entry>>) => {
    expect(found(entries, '/home/bin')).not.toHaveProperty('pasta');
    const both = { ...entries, '/usr/bin/pasta': program() };
    expect(found(both, '/home/bin')).toMatchObject({ pasta: '/usr/bin/pasta' });
  });

  test('are not looked for in the PATH of root, who may own the project as well', () => {
    const entries = { '/src': folder(), '/src/pasta': program() };
    expect(found(entries, '/src', 0)).not.toHaveProperty('pasta');
  });

  test('need a device that may be opened', () => {
    const missing = { ...host({}), exists: () => false };
    expect(gatherNetworkPrograms(missing, { euid: 1000, path: '' }).noTun?.hint).toContain('modprobe tun');
    const closed = { ...host({}), writable: () => false };
    expect(gatherNetworkPrograms(closed, { euid: 1000, path: '' }).noTun?.hint).toContain('chmod 0666 /dev/net/tun');
    expect(found({})).not.toHaveProperty('noTun');
  });

  test.each([
    ['ID=debian\n', 'apt install slirp4netns'],
    ['NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', 'apt install slirp4netns'],
    ['ID=linuxmint\nID_LIKE="ubuntu debian"\n', 'apt install slirp4netns'],
    ["ID='rocky'\nID_LIKE='rhel centos fedora'\n", 'dnf install passt'],
    ['ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', 'zypper install slirp4netns'],
    ['ID=unheard-of\n', 'install the package slirp4netns, or passt'],
    [undefined, 'install the package slirp4netns, or passt'],
  ])('are installed, where os-release says %j, by: %s', (text, command) => {
    expect(installCommand(text)).toBe(command);
  });
});
