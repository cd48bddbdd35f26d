/** Messages about connections that the kernel follows, in the words of conntrack(8). */
import { formatBytes } from './netlink-attributes.ts';
import { NotInWords, type Reader } from './netlink-reader.ts';

/** The family as `conntrack --family` has it, and how its addresses are called and how long they are. */
const FAMILIES: Readonly<Record<string, { readonly word: string; readonly name: string; readonly size: number }>> = {
  AF_INET: { word: 'ipv4', name: 'V4', size: 4 },
  AF_INET6: { word: 'ipv6', name: 'V6', size: 16 },
};
const PARTS = [
  ['SRC', 'src'],
  ['DST', 'dst'],
] as const;

/** What both directions of a connection have to be. Only what the filter names is compared, and without any all connections fit. */
function connections(reader: Reader): string {
  const family = FAMILIES[reader.name('nfgen_family')];
  if (family === undefined) throw new NotInWords('nfgen_family');
  const compared = reader.nest('CTA_FILTER', (filter) => ({
    orig: filter.bits('CTA_FILTER_ORIG_FLAGS'),
    reply: filter.bits('CTA_FILTER_REPLY_FLAGS'),
  }));
  const words = (['orig', 'reply'] as const).flatMap((direction) => {
    const tuple = `CTA_TUPLE_${direction.toUpperCase()}`;
    if (!reader.has(tuple)) {
      if (compared[direction].length > 0) throw new NotInWords(tuple);
      return [];
    }
    return reader.nest(tuple, (inner) =>
      inner.nest('CTA_TUPLE_IP', (addresses) =>
        PARTS.flatMap(([part, word]) => {
          if (!compared[direction].includes(`CTA_FILTER_F_CTA_IP_${part}`)) return [];
          const bytes = addresses.bytes(`CTA_IP_${family.name}_${part}`);
          if (bytes.length !== family.size) throw new NotInWords(tuple);
          return [`--${direction}-${word} ${formatBytes(bytes)}`];
        }),
      ),
    );
  });
  if (words.length === 0) throw new NotInWords('CTA_FILTER');
  return [family.word, ...words].join(' ');
}

/** Undefined: no message about connections that has words. */
export function conntrackText(type: string, reader: Reader): string | undefined {
  return type === 'IPCTNL_MSG_CT_DELETE' ? connections(reader) : undefined;
}
