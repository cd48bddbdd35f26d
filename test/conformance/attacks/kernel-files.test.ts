/**
 * What a runtime writes to /proc, and the terminal that it opens in /dev, while somebody puts something else in their place:
 * CVE-2019-16884 and CVE-2025-52881 (something mounted over /proc/self/attr takes the label), CVE-2025-52565 (/dev/pts/N is
 * swapped while the container starts).
 */
import { cpSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasCompiler, startSwapping } from '../../support/attack.ts';
import { boxctl, type Ended } from '../../support/boxctl.ts';
import { hasBusybox, makeBusyboxTree } from '../../support/busybox.ts';
import { callerOptions, callers, ownedFolder, specFolder, type Caller } from '../../support/container.ts';
import { makeCanary } from './canary.ts';

const ROUNDS = 10;
const PLACES = ['/proc/thread-self/attr', '/proc/1/attr', '/proc/sys/net/ipv4', '/proc', '/sys', '/dev/pts'];
const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];

/** Where the folder that is to be mounted has come to be, as the container sees it. */
const FOUND = 'while read -r _ _ _ root at _; do case $root in */fake) echo $at;; esac; done </proc/self/mountinfo';

/** A folder that is to be mounted in a volume, and how it is when nobody has written to it. */
function trap(caller: Caller, folder: string): { readonly state: () => string } {
  const fake = ownedFolder(caller, 'fake', folder);
  for (const name of ['exec', 'current', 'ip_unprivileged_port_start']) writeFileSync(join(fake, name), 'untouched');
  const state = (): string =>
    readdirSync(fake)
      .map((name) => `${name} ${readFileSync(join(fake, name), 'utf8')}`)
      .join('\n');
  return { state };
}

const trapped = (where: string) => ({
  volumes: [`./shared:${where}`, `./fake:${where}/x`],
  sysctls: { 'net.ipv4.ip_unprivileged_port_start': '7' },
  command: script(`cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ${FOUND}`),
});

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test.each(['/s', '/dev/s'])('a link in a volume at %s leads no mount over the kernel’s files', async (where) => {
    for (const place of PLACES) {
      const folder = specFolder(trapped(where), caller);
      const { state } = trap(caller, folder);
      const before = state();
      symlinkSync(place, join(ownedFolder(caller, 'shared', folder), 'x'));
      const { status, stdout, stderr } = await boxctl(['up'], callerOptions(caller, folder));
      expect({ place, status, stdout, state: state() }).toEqual({ place, status: 125, stdout: '', state: before });
      expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: the step mount\.\S+ failed/u);
      expect(stderr).toMatch(where === '/s' ? /a link of the image/u : /none is followed in \/dev/u);
    }
  });
});

describe.skipIf(!hasBusybox || !hasCompiler).each(callers.slice(0, 2))(
  'as $title (needs busybox-static and cc)',
  (caller) => {
    test.each(
      ['/proc/thread-self/attr', '/proc/sys/net/ipv4'].flatMap((place) =>
        ['/s', '/dev/s'].map((where) => [where, place] as const),
      ),
    )(
      'nor one in %s that is swapped for a link to %s while the container starts',
      { timeout: 120_000 },
      async (where, place) => {
        const folder = specFolder(trapped(where), caller);
        const { state } = trap(caller, folder);
        const before = state();
        const shared = ownedFolder(caller, 'shared', folder);
        mkdirSync(join(shared, 'x'));
        symlinkSync(place, join(shared, 'evil'));
        await startSwapping(shared, 'x', 'evil');
        const ends = await attempts(caller, folder, true);
        // What it was mounted at may have been swapped away since, mount and all.
        for (const { stdout } of ends.well) expect(stdout).toMatch(new RegExp(`^7\n${where}/(?:x|evil)\n$`, 'u'));
        expect(state()).toBe(before);
        expect(ends).toMatchObject({ some: true, refused: true });
      },
    );

    // The image's /dev itself is looked up, and refused when it is a link; what is in it never matters.
    test.each([
      ['dev', true],
      ['dev/pts', false],
      ['proc', true],
    ])(
      'an image whose /%s is swapped for a link out of it while a terminal is opened changes nothing outside',
      { timeout: 120_000 },
      async (name, isLookedUp) => {
        const canary = makeCanary();
        const folder = specFolder(
          { image: { folder: './tree' }, tty: true, command: script('tty; echo x >/dev/console') },
          caller,
        );
        const tree = join(folder, 'tree');
        makeBusyboxTree(tree);
        for (const each of ['dev/pts', 'proc/self/attr', 'sys', 'etc'])
          mkdirSync(join(tree, each), { recursive: true });
        // What a runtime would open, or write to, by its path.
        cpSync(join(tree, name), join(canary.folder, 'copy'), { recursive: true });
        for (const each of ['0', 'console', 'null', 'ptmx'])
          writeFileSync(join(canary.folder, 'copy', each), 'of the host');
        const before = canary.state();
        symlinkSync(join(canary.folder, 'copy'), join(tree, 'evil'));
        await startSwapping(tree, name, 'evil');
        const ends = await attempts(caller, folder, isLookedUp);
        for (const { stdout } of ends.well) expect(stdout.trim()).toBe('/dev/pts/0\r\nx');
        expect(canary.state()).toBe(before);
        expect(ends).toMatchObject({ some: true, refused: isLookedUp });
      },
    );
  },
);

interface Ends {
  readonly well: readonly Ended[];
  /** Whether some came through, and whether some were refused. */
  readonly some: boolean;
  readonly refused: boolean;
}

/** Of a race, more than ROUNDS only where all of them ended in the same way. */
async function attempts(caller: Caller, folder: string, isRace: boolean): Promise<Ends> {
  const well: Ended[] = [];
  let refused = 0;
  const most = isRace ? 10 * ROUNDS : ROUNDS;
  for (let round = 0; round < ROUNDS || ((well.length === 0 || refused === 0) && round < most); round++) {
    const options = callerOptions(caller, folder, { varies: 'it is a race' });
    const ended = await boxctl(['up'], options);
    if (ended.status === 0) well.push(ended);
    else refused += 1;
  }
  return { well, some: well.length > 0, refused: refused > 0 };
}
