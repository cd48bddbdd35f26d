/** How the layers of an image lie in the store, in one word. */
import type { ImageRecord } from '../../../image/records.ts';

export type Form = 'mounted' | 'in place' | 'unpacked';

export function formOf({ layers }: ImageRecord): Form {
  if (layers.some(({ form }) => form === 'tree')) return 'unpacked';
  return layers.some(({ inPlace }) => inPlace !== undefined) ? 'in place' : 'mounted';
}
