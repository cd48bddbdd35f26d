import { describe, expect, it } from 'vitest';
import { grantCommand, howToGetIds, nextFreeRange } from '../../../src/host/subordinate.ts';
import { USER_ALONE_HOST, USER_HOST } from '../../support/host-facts.ts';

const free = (...takenIds: readonly (readonly [start: number, size: number])[]) =>
  nextFreeRange({ ...USER_ALONE_HOST, takenIds: takenIds.map(([start, size]) => ({ start, size })) })?.start;

describe('the next free range of subordinate ids', () => {
  it.each([
    [[], 100_000],
    [[[100_000, 65_536]], 165_536],
    [[[165_536, 65_536]], 100_000],
    [
      [
        [100_000, 65_536],
        [165_536, 65_536],
        [300_000, 10],
      ],
      231_072,
    ],
    // A gap that is too small is passed over, and an overlap does not mislead.
    [
      [
        [100_000, 65_536],
        [200_000, 65_536],
      ],
      265_536,
    ],
    [[[0, 4_000_000_000]], 4_000_000_000],
    [[[100_000, 4_294_867_295]], undefined],
  ] as const)('beside %j begins at %j', (taken, start) => expect(free(...taken)).toBe(start));

  it('is one that the user namespace around boxctl has', () => {
    const own = [{ start: 0, size: 65_536 }];
    expect(nextFreeRange({ ...USER_ALONE_HOST, takenIds: [], ownUids: own, ownGids: own })).toBeUndefined();
  });
});

describe('how to get subordinate ids', () => {
  const host = { ...USER_ALONE_HOST, userName: 'me', takenIds: [{ start: 100_000, size: 65_536 }] };
  it('is a command for what is missing, with a range that nobody has', () => {
    expect(grantCommand(host)).toBe('sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 me');
    expect(grantCommand({ ...host, subuids: USER_HOST.subuids })).toBe('sudo usermod --add-subgids 165536-231071 me');
  });
  it('names the helpers where they are missing', () => {
    expect(howToGetIds(host)).toMatch(/^install newuidmap and newgidmap, and sudo usermod --add-subuids 165536-/u);
    expect(howToGetIds({ ...USER_HOST, subgids: [], takenIds: [] })).toMatch(
      /^sudo usermod --add-subgids 100000-165535 /u,
    );
  });
});
