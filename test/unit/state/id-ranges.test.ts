/** Ranges of ids that are claimed for a run. */
import { expect, test } from 'vitest';
import { compile } from '../../../src/model/compile.ts';
import { claimIds, type IdClaim } from '../../../src/state/id-ranges.ts';
import { testDocument } from '../../support/document.ts';
import { ROOT_HOST } from '../../support/host-facts.ts';
import { tempFolder } from '../../support/temp.ts';
import { testImage } from '../../support/model.ts';

const SIZE = 1024;

function setUp() {
  const store = tempFolder();
  const document = { ...testDocument({ command: ['sh'], autoIds: SIZE }), folder: store };
  const host = { ...ROOT_HOST, dirs: { ...ROOT_HOST.dirs, store } };
  const firstId = (claim: IdClaim): number | undefined =>
    compile(document, testImage('/image'), host, {}, claim).config.linux.uidMappings?.[0]?.hostID;
  return { document, host, firstId };
}

test('a claimed range of ids is in the maps of the model', () => {
  const { document, host, firstId } = setUp();
  const claims = [claimIds(document, host), claimIds(document, host)];
  expect(claims.map(({ ids }) => ids?.offset)).toEqual([0, SIZE]);
  const [first, second] = claims.map(firstId);
  expect(second).toBe((first ?? 0) + SIZE);
});

test('a released range goes to the same container again in the same process', () => {
  const { document, host } = setUp();
  const first = claimIds(document, host);
  first.release();
  const again = claimIds(document, host);
  expect(again.ids).toEqual(first.ids);
  // Not released yet, it is nobody else's.
  expect(claimIds(document, host).ids).not.toEqual(first.ids);
});

test('a container that asks for no ids claims nothing', () => {
  const { host } = setUp();
  expect(claimIds(testDocument({ command: ['sh'] }), host).ids).toBeUndefined();
});
