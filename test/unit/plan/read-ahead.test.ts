/** When the program is read into memory before it is executed. */
import { expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import type { Layer } from '../../../src/model/image.ts';
import type { PlanOptions } from '../../../src/plan/container.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { planOf } from '../../support/plan.ts';

const ARCHIVE: Layer = { kind: 'erofs', index: '/store/index', data: '/srv/rootfs.tar' };
const FOLDER: Layer = { kind: 'tree', path: '/store/rootfs' };

/** Where it is looked for; undefined: it is not. */
function readPaths(keys: string, host: HostFacts = ROOT_HOST, layers = [ARCHIVE], options?: PlanOptions) {
  const { steps } = planOf(`name: box\nimage: {host_tools: [sh]}\n${keys}`, host, {}, layers, options);
  const index = steps.findIndex(({ call }) => call.name === 'readahead');
  const step = steps[index];
  if (step?.call.name !== 'readahead') return undefined;
  expect(step).toMatchObject({ side: 'host', meanwhile: true, undo: 'none' });
  // While the first process builds the root, which waits for nothing of it.
  expect(steps.findIndex(({ id }) => id === 'pivot_root')).toBeLessThan(index);
  return step.call.args.pathname;
}

test('it is read from the lowest layer of a mounted image, where execvp(3) would look for it', () => {
  expect(readPaths('command: [sh]\nenvironment: {PATH: "/x:/y"}\n')).toEqual(['/x/sh', '/y/sh']);
  expect(readPaths('command: [/bin/../bin/sh]\n')).toEqual(['/bin/sh']);
  expect(readPaths('command: [./run]\nworking_dir: /w\n')).toEqual(['/w/run']);
  expect(readPaths('command: [sh]\nenvironment: {PATH: ":/y"}\nworking_dir: /w\n')).toEqual(['/w/sh', '/y/sh']);
});

test('it is not read where the layer is in memory already, or is not the launcher’s to open', () => {
  expect(readPaths('command: [sh]\n', ROOT_HOST, [FOLDER])).toBeUndefined();
  expect(readPaths('command: [sh]\n', USER_HOST, [FOLDER])).toBeUndefined();
  expect(readPaths('command: [sh]\n', ROOT_HOST, [ARCHIVE], { mounted: 9 })).toBeUndefined();
});
