/** What the bin (dist/boxctl.cjs) calls. */
export { main } from './main.ts';
export { warmUp } from './warm-up.ts';
