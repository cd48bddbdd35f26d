/**
 * Measures a container's network beside Podman's and one made by hand: what it adds to a start, and what its
 * packets cost, also with a thousand others. Everything is in network namespaces of its own, which have no way out.
 *
 *   npm run bench:network [-- starts|traffic|many ROUNDS]
 *
 * Needs root, a C compiler, and the Debian packages busybox-static, iproute2 and nftables; Podman, crun and netavark, if they
 * are there. Nothing is asserted: times are for reading.
 */
import { fileURLToPath } from 'node:url';
import { enterPlace, makeFiles } from './network/place.mjs';
import { needRootAndBusybox } from './setup.mjs';

needRootAndBusybox();
enterPlace(fileURLToPath(import.meta.url));

const words = process.argv.slice(2);
const rounds = Number(words.find((word) => /^\d+$/u.test(word)) ?? 20);
const chosen = words.filter((word) => !/^\d+$/u.test(word));
const files = makeFiles();
for (const part of ['starts', 'traffic', 'many']) {
  if (chosen.length > 0 && !chosen.includes(part)) continue;
  const module = await import(`./network/${part}.mjs`);
  await module[part](files, rounds);
}
process.exit(0);
