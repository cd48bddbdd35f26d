import type { Run } from '../command.ts';
import { start } from '../start.ts';

export const up: Run = (invocation) => start(invocation, () => ({}));
