/** What the bin (dist/boxctl.cjs) calls. */
export { main } from './main.ts';
export { warmUp, warmUpNetwork } from './warm-up.ts';
