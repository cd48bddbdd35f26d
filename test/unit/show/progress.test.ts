/** What is seen of a start: nothing, a line that is gone afterwards, or the whole list. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LaunchEvent } from '../../../src/launcher/events.ts';
import { createProgress } from '../../../src/show/progress.ts';
import type { ProgressMode, Screen } from '../../../src/show/progress-interface.ts';
import { textWidth } from '../../../src/text/width.ts';
import { ROOT_HOST } from '../../support/host-facts.ts';
import { planOf } from '../../support/plan.ts';

const plan = planOf('image: {host_tools: [sh]}\ncommand: [sh]\n', ROOT_HOST);

/** A terminal: lines that are complete, and the one that the cursor is in. */
class FakeScreen implements Screen {
  readonly color = false;
  readonly isTerminal: boolean;
  lines: string[] = [];
  current = '';
  widest = 0;
  redrawn = 0;
  readonly #columns: number;

  constructor(columns: number, isTerminal = true) {
    this.#columns = columns;
    this.isTerminal = isTerminal;
  }
  columns(): number {
    return this.#columns;
  }
  write(text: string): void {
    const parts = (this.current + text).split('\n');
    this.current = parts.pop() ?? '';
    this.lines.push(...parts);
  }
  redraw(text: string): void {
    this.redrawn++;
    this.widest = Math.max(this.widest, textWidth(text.split('\n')[0] ?? ''));
    this.current = '';
    this.write(text);
  }
}

const done = (index: number): LaunchEvent => ({ kind: 'step', index, outcome: 'done', startNs: 0, endNs: 1000 });
const steps = plan.steps.slice(0, -1).map((_, index) => done(index));
const late = plan.steps.findIndex(({ group }) => group === 'mounts');

interface Way {
  readonly mode?: ProgressMode;
  readonly screen?: FakeScreen;
  readonly events?: readonly LaunchEvent[];
  /** How long the first step takes. */
  readonly waits?: number;
}

async function seen({ mode = 'auto', screen = new FakeScreen(80), events = steps, waits = 0 }: Way) {
  const progress = createProgress({ mode, plan, screen });
  for (const [index, event] of events.entries()) {
    progress.event(event);
    if (index > 0 || waits === 0) continue;
    await vi.advanceTimersByTimeAsync(waits);
    await vi.dynamicImportSettled();
  }
  const during = screen.current;
  await progress.finish();
  return { screen, during, progress };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a start that goes well', () => {
  test('draws nothing on a terminal, where it takes no time', async () => {
    const { screen } = await seen({});
    expect(screen).toMatchObject({ lines: [], current: '', redrawn: 0 });
  });

  test('has one line while it takes time, which is gone when the command starts', async () => {
    const { during } = await seen({ waits: 1000, events: steps.slice(0, 1) });
    expect(during).toBe('  ○ namespaces');
    const { screen } = await seen({ waits: 1000 });
    expect(screen.redrawn).toBeGreaterThan(1);
    expect(screen).toMatchObject({ lines: [], current: '' });
  });

  test('has its whole list where that is asked for, on a terminal and in a file', async () => {
    const terminal = await seen({ mode: 'list' });
    const file = await seen({ mode: 'list', screen: new FakeScreen(80, false) });
    expect(terminal.screen.lines).toEqual(file.screen.lines);
    expect(file.screen.redrawn).toBe(0);
    expect(file.screen.lines[0]).toMatch(/^ {2}✔ namespaces +\d+ steps +0\.\d+ ms$/u);
    expect(file.screen.lines.length).toBeGreaterThan(8);
  });

  test('draws nothing where nobody is watching', async () => {
    const { screen } = await seen({ screen: new FakeScreen(80, false), waits: 1000 });
    expect(screen).toMatchObject({ lines: [], current: '', redrawn: 0 });
  });
});

describe('a start that fails', () => {
  const failed: LaunchEvent = { kind: 'failed', index: late, errno: 1, detail: 0, at: 0 };
  const events = [...steps.slice(0, late), failed];

  test.each([0, 1000])('shows all groups on a terminal, up to the one that failed (after %d ms)', async (waits) => {
    const { screen } = await seen({ events, waits });
    expect(screen.lines[0]).toMatch(/^ {2}✔ namespaces/u);
    expect(screen.lines.filter((line) => line.startsWith('  ✖ '))).toEqual(['  ✖ mounts']);
    expect(screen.lines.at(-1)).toMatch(/^ {6}.*: EPERM$/u);
    expect(screen.current).toBe('');
  });

  test('tells what could not be undone, also when the list has been over for long', async () => {
    const { screen, progress } = await seen({});
    progress.event({ kind: 'undo', index: 0, call: 0, errno: 16 });
    expect(screen.lines).toEqual([expect.stringMatching(/^ {2}↶ not undone \(EBUSY\): /u)]);
  });
});

test.each(['list', 'auto'] as const)('no line wraps at any width from 20 to 200 (%s)', async (mode) => {
  for (let columns = 20; columns <= 200; columns++) {
    const screen = new FakeScreen(columns);
    await seen({ mode, screen, waits: 1000 });
    expect(screen.widest).toBeLessThan(columns);
    expect(screen.widest).toBeGreaterThan(10);
  }
});
