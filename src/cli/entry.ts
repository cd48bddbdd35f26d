/** What the bin (dist/boxctl.cjs) calls, and the build. */
export { main } from './main.ts';

export const warming = (): Promise<typeof import('./warm-up.ts')> => import('./warm-up.ts');
