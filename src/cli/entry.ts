/** What the bin (dist/boxctl.cjs) calls. */
export { main } from './main.ts';
export { rehearse } from './rehearse.ts';
