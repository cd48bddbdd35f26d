/** The name of the lock beside a container file: `container.lock` for `container.yaml` and `container.yml`. */
import { basename } from 'node:path';

/** `ci.lock` for `ci.yaml`, `spec.lock` for `spec`. */
export function lockName(file: string): string {
  return `${basename(file).replace(/(?<=.)\.ya?ml$/u, '')}.lock`;
}
