/** Where everything that tests need is installed, a skipped test is a failure: otherwise nobody would notice that it does not run. */
import type { Reporter, TestModule } from 'vitest/node';

export const noSkips: Reporter = {
  onTestRunEnd(modules: readonly TestModule[]) {
    const skipped = modules.flatMap((module) => [...module.children.allTests('skipped')]);
    if (skipped.length === 0) return;
    for (const test of skipped) process.stderr.write(`skipped: ${test.module.relativeModuleId}: ${test.fullName}\n`);
    process.stderr.write(`${skipped.length} tests were skipped, and BOXCTL_CI asks for all of them\n`);
    process.exitCode = 1;
  },
};
