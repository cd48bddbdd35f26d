/** An import as it is drawn, on terminals of every width. */
import { expect, test } from 'vitest';
import { drawImport } from '../../../src/cli/import-list.ts';
import type { Screen } from '../../../src/show/progress-interface.ts';
import { textWidth } from '../../../src/text/width.ts';
import { steeringIn } from '../../support/steering.ts';

test.each([
  'debian.tar.zst',
  'a-name-that-is-much-longer-than-there-is-room-for.tar.gz',
  '日本語'.repeat(12),
  'x\u001b[2J\n',
])('no line of an import of %j wraps at any width from 20 to 200', async (title) => {
  for (let columns = 20; columns <= 200; columns += 3) {
    const drawn: string[] = [];
    const screen: Screen = {
      color: false,
      isTerminal: true,
      write: (text) => void drawn.push(text),
      redraw: (text) => void drawn.push(text),
      columns: () => columns,
    };
    const list = drawImport(title, screen, performance.now());
    for (const read of [1e6, 2e8]) {
      list.progress({ read, total: 5e8, entries: 12_345, layer: { number: 1, of: 3 } });
      list.progress({ read: read * 2, total: 5e8, layer: { number: 3, of: 3 } });
      await new Promise((resolve) => setImmediate(resolve));
    }
    list.retrying('the registry is away', 3000);
    list.progress({ read: 0, total: 0, layer: { number: 2, of: 3, state: 'there' } });
    await list.end(false);
    expect(drawn.length).toBeGreaterThan(2);
    for (const line of drawn.flatMap((text) => text.split('\n'))) {
      expect(steeringIn(line)).toEqual([]);
      expect(textWidth(line.trimEnd())).toBeLessThan(columns);
    }
  }
});
