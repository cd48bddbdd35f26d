import { BoxctlError, type Diagnostic } from '../../../src/errors.ts';
import type { ImageFacts } from '../../../src/model/image.ts';

export const image: ImageFacts = {
  digest: '0'.repeat(64),
  record: '',
  layers: [{ kind: 'tree', path: '/var/lib/boxctl/images/x/rootfs' }],
  shell: '',
  ownership: undefined,
  passwd: 'root:x:0:0::/root:/bin/sh\n',
  group: '',
  defaults: {},
};

/** The problems that a call throws; none where it does not. */
export function diagnosticsOf(call: () => unknown): readonly Diagnostic[] {
  try {
    call();
  } catch (error) {
    if (error instanceof BoxctlError) return error.diagnostics;
    throw error;
  }
  return [];
}
