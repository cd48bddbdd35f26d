import { defineConfig } from 'vitest/config';
import { noSkips } from './support/no-skips.ts';

export default defineConfig({
  test: {
    // Containers are real processes: more at a time than there are processors only makes them wait for each other.
    maxWorkers: 2,
    // Without hardware's help a virtual machine is some ten times slower.
    testTimeout: process.env['BOXCTL_VM'] === '1' ? 180_000 : 30_000,
    globalSetup: 'test/support/build.ts',
    reporters: process.env['BOXCTL_CI'] === '1' ? ['default', noSkips] : ['default'],
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], sequence: { groupOrder: 0 } } },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/conformance/**/*.test.ts'],
          // They look at the whole host, before and after.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
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
                sequence: { groupOrder: 2 },
              },
            },
          ]
        : []),
    ],
  },
});
