/**
 * What a run with BOXCTL_TEST_TWICE_LOG has compared: `node count-starts.mjs LOG LEAST`. Fails where fewer than LEAST starts were from
 * kept plans.
 */
import { readFileSync } from 'node:fs';

const [log, least] = process.argv.slice(2);
const starts = readFileSync(log, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line));
const kept = starts.filter(({ isKept }) => isKept);
const files = new Set(kept.map(({ file }) => file));
const single = starts.filter(({ once }) => once !== undefined);
console.log(
  `${starts.length} starts in ${new Set(starts.map(({ file }) => file)).size} files: ${kept.length} from kept plans, in ${files.size} files; ${single.length} cannot be made twice`,
);
if (kept.length < Number(least)) {
  console.error(`fewer than ${least} starts were from kept plans`);
  process.exitCode = 1;
}
