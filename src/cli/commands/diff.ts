import type { Because } from '../../model/because.ts';
import { diff as compare, type Change, type Direction } from '../../review/diff.ts';
import type { Run } from '../command.ts';
import { hostFacts, showsValues } from '../environment.ts';
import { wantsColor, writeOutput } from '../output.ts';
import { loadRevision } from '../revision.ts';
import { safe, safeJson } from '../../text/safe.ts';
import { painter } from '../../text/style.ts';

const HEADINGS: Readonly<Record<Direction, readonly [title: string, sign: string, color: number]>> = {
  gains: ['gains', '+', 31],
  loses: ['loses', '-', 32],
  changes: ['changes', '~', 33],
};

function lineOf(because: Because | undefined): string | undefined {
  const at = because?.kind === 'spec' ? because.at : undefined;
  return at === undefined ? undefined : `${at.file}:${at.line}`;
}

function asText(changes: readonly Change[], color: boolean): string {
  const paint = painter(color);
  const groups = (['gains', 'loses', 'changes'] as const).flatMap((direction) => {
    const found = changes.filter((change) => change.direction === direction);
    const [title, sign, code] = HEADINGS[direction];
    const lines = found.map(({ message, before, after }) => {
      const places = [lineOf(before), lineOf(after)].filter((place) => place !== undefined);
      return `  ${paint(code, sign)} ${safe(message)}  ${paint(2, `(${safe(places.join(' → ')) || 'by default'})`)}`;
    });
    return lines.length === 0 ? [] : [[paint(1, title), ...lines].join('\n')];
  });
  return groups.length === 0 ? 'no difference\n' : `${groups.join('\n\n')}\n`;
}

const at = (because: Because | undefined) => (because?.kind === 'spec' ? because.at : undefined);

export const diff: Run = (invocation) => {
  const { args, env } = invocation;
  const [old = '', young = ''] = args.positionals;
  const [before, after] = [loadRevision(invocation, old), loadRevision(invocation, young)];
  const changes = compare(before.document, after.document, hostFacts(invocation), {
    showValues: showsValues(invocation),
    locks: { before: before.lock, after: after.lock },
  });
  if (args.flag('json')) {
    const list = changes.map(({ direction, message, before: was, after: is }) => ({
      direction,
      message,
      before: at(was),
      after: at(is),
    }));
    writeOutput(`${safeJson({ old, new: young, changes: list }, 2)}\n`);
  } else {
    writeOutput(asText(changes, wantsColor(1, env)));
  }
  const counted = args.flag('fail-on-gain') ? changes.filter(({ direction }) => direction === 'gains') : changes;
  return counted.length === 0 ? 0 : 1;
};
