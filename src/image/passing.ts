/** Failures of a registry after which a pull that is repeated may succeed. */
import type { ErrorCode } from '../error-codes.ts';
import { BoxctlError } from '../errors.ts';

const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'E_REGISTRY_FAILED',
  'E_REGISTRY_RATE_LIMIT',
  'E_REGISTRY_TIMEOUT',
  'E_REGISTRY_UNREACHABLE',
]);

/** Whether the registry was not to be reached, or had too much to do. What has come until then is worth keeping. */
export const isPassing = (error: unknown): boolean => error instanceof BoxctlError && PASSING.has(error.code);
