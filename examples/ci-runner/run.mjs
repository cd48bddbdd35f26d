// Runs the jobs of a file, eight at a time, each in a container of its own, and prints a summary.
//
//   node run.mjs [JOBS]
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { loadSpec, openTemplate } from 'boxctl';

const AT_A_TIME = 8;
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

function readJobs(file) {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => /^[^#\s]/u.test(line))
    .map((line) => {
      const colon = line.indexOf(':');
      return { name: line.slice(0, colon).trim(), command: line.slice(colon + 1).trim() };
    });
}

// Ctrl-C ends all that run.
const givenUp = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => givenUp.abort());

// Read, judged and compiled once.
const template = await openTemplate(loadSpec(here('container.yaml')), {
  reporter: { warning: (message) => console.error(`warning: ${message}`) },
});

async function run({ name, command }) {
  const args = ['sh', '-c', command];
  const box = await template.start({ args, environment: { JOB: name }, signal: givenUp.signal });
  const [stdout, stderr, result] = await Promise.all([text(box.stdout), text(box.stderr), box.ended]);
  return { name, output: stdout + stderr, ...result };
}

async function runAll(jobs) {
  const results = [];
  // All workers take from the same list.
  const left = jobs.entries();
  const work = async () => {
    for (const [index, job] of left) results[index] = await run(job);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return results;
}

function describe({ status, message, durationMs }) {
  if (status === 0) return `${durationMs} ms`;
  return message ?? `exit status ${status}`;
}

const began = Date.now();
const results = await runAll(readJobs(process.argv[2] ?? here('jobs.txt'))).catch((error) => {
  if (!givenUp.signal.aborted) throw error;
  process.exit(130);
});
template.close();

for (const result of results) {
  console.log(`${result.status === 0 ? 'ok    ' : 'FAILED'}  ${result.name.padEnd(12)}  ${describe(result)}`);
  if (result.status === 0) continue;
  for (const line of result.output.split('\n').filter(Boolean)) console.log(`          ${line}`);
}
const failed = results.filter(({ status }) => status !== 0).length;
console.log(`${results.length} jobs, ${failed} failed, in ${((Date.now() - began) / 1000).toFixed(1)} s`);
process.exitCode = failed === 0 ? 0 : 1;
