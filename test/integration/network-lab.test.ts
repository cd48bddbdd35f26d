/** The lab of the network's tests is what they take it for. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeLab, networkState, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';

describe.skipIf(whyNoLab() !== undefined)(`the lab (${whyNoLab() ?? 'made of namespaces'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
  });
  afterAll(() => lab.end());

  test('the host reaches the world and the second machine by both families', async () => {
    for (const url of [`http://${WORLD.ipv4}/a`, `http://[${WORLD.ipv6}]/b`, `http://${SECOND.ipv4}/c`]) {
      expect(await lab.host.get(url)).toMatch(/^from \S+ \/[abc]\n$/u);
    }
    expect(lab.world.requests.map(({ text }) => text)).toEqual(['/a', '/b']);
    expect(await lab.host.out('busybox', 'nslookup', 'second.test', WORLD.ipv4)).toContain(SECOND.ipv6);
  });

  test('the host of the lab has no interfaces but `lo` and the one to the router', async () => {
    const { stdout } = await lab.host.run(['ip', '-o', 'link']);
    expect(stdout.match(/^\d+: [^:@]+/gmu)?.map((line) => line.replace(/^\d+: /u, ''))).toEqual(['lo', 'up0']);
    expect(await networkState(lab.host)).toEqual(await networkState(lab.host));
  });
});
