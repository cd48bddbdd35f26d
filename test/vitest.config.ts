import { defineConfig } from 'vitest/config';
import { noSkips } from './support/no-skips.ts';

// Each looks at what it has made itself, so that files can run side by side.
const INTEGRATION = ['test/integration/**/*.test.ts', 'test/conformance/**/*.test.ts'];
/** What holds of a launcher must hold of one that serves, too (native/launcher/serve.h). */
const SHARED_LAUNCHER = ['test/conformance/attacks/**/*.test.ts', 'test/integration/outlive.test.ts'];
/** These measure time, or take all that a machine has. */
const ALONE = [
  'test/integration/limits.test.ts',
  'test/integration/endurance.test.ts',
  'test/integration/idle.test.ts',
  'test/integration/kills.test.ts',
  'test/integration/box-endurance.test.ts',
  'test/conformance/attacks/exhaustion.test.ts',
  'test/conformance/attacks/message.test.ts',
];
/** Starts are made twice (test/support/twice.ts). */
const isTwice = process.env['BOXCTL_TEST_TWICE'] === '1';
/** Checks run beside the tests. */
const isCi = process.env['BOXCTL_CI'] === '1';
const TWICE = { BOXCTL_TEST_TWICE: isTwice ? '1' : '0' };
const ONCE = { BOXCTL_TEST_TWICE: '0' };
/** These compare starts by Node and by kept plans themselves. */
const COMPARING = ['test/integration/front*.test.ts'];
const SHARED_LAUNCHER_ALONE = ALONE.filter((file) => file.startsWith('test/conformance/attacks/'));

export default defineConfig({
  test: {
    // Containers are real processes: more at a time than there are processors only makes them wait for each other.
    maxWorkers: 2,
    // Without hardware's help a virtual machine is some ten times slower.
    testTimeout: process.env['BOXCTL_VM'] === '1' ? 180_000 : isTwice || isCi ? 90_000 : 30_000,
    // A lab of networks is made in one, and containers are ended.
    hookTimeout: isTwice || isCi ? 30_000 : 10_000,
    // Of `expect.poll`: a second, which it is otherwise, is less than a busy machine may pause.
    expect: { poll: { timeout: 20_000 } },
    globalSetup: 'test/support/build.ts',
    reporters: isCi ? ['default', noSkips] : ['default'],
    projects: [
      {
        extends: true,
        // One worker loads the modules once for all of its files: to load them for each takes longer than the tests. What one
        // of them changes in the process, it changes back.
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          isolate: false,
          env: ONCE,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: INTEGRATION,
          exclude: [...ALONE, ...COMPARING],
          env: TWICE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        // Not beside tests that kill launchers: while a record of root's is left, no start is from a kept plan.
        test: { name: 'single', include: COMPARING, env: ONCE, sequence: { groupOrder: 2 } },
      },
      {
        extends: true,
        test: {
          name: 'integration-alone',
          include: ALONE,
          env: TWICE,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: 'shared-launcher',
          include: SHARED_LAUNCHER,
          exclude: ALONE,
          env: { BOXCTL_LAUNCHER: 'shared', ...ONCE },
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: 'shared-launcher-alone',
          include: SHARED_LAUNCHER_ALONE,
          env: { BOXCTL_LAUNCHER: 'shared', ...ONCE },
          fileParallelism: false,
          sequence: { groupOrder: 5 },
        },
      },
      // Only in a virtual machine: test/vm/run.mjs.
      ...(process.env['BOXCTL_VM'] === '1'
        ? [
            {
              extends: true as const,
              test: {
                name: 'vm',
                include: ['test/vm/**/*.test.ts'],
                fileParallelism: false,
                sequence: { groupOrder: 6 },
              },
            },
          ]
        : []),
    ],
  },
});
