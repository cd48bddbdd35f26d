/** Secrets that this process has sent or been given. A server may repeat them in its words, which are shown and kept in logs. */

const secrets = new Set<string>();
/** Words that are shorter would be found everywhere in a text. */
const LEAST = 4;

/** From now on none of them is shown in what servers say, nor as a part of an address. */
export function hideSecrets(...texts: readonly string[]): void {
  for (const text of texts) {
    if (text.length < LEAST) continue;
    secrets.add(text);
    secrets.add(encodeURIComponent(text));
  }
}

/** The longest first, since one may be a part of another. */
export function withoutSecrets(text: string): string {
  const known = [...secrets].toSorted((a, b) => b.length - a.length);
  return known.reduce((shown, secret) => shown.replaceAll(secret, '…'), text);
}
