import { defineConfig } from 'vitest/config';
import { noSkips } from './support/no-skips.ts';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts', 'test/integration/**/*.test.ts', 'test/conformance/**/*.test.ts'],
    testTimeout: 30_000,
    // Containers are real processes: more at a time than there are processors only makes them wait for each other.
    maxWorkers: 2,
    reporters: process.env['BOXCTL_CI'] === '1' ? ['default', noSkips] : ['default'],
  },
});
