/** What counts as a name of an image in the store: `NAME[:TAG]` as docker spells them, or the first digits of a digest. */

/** Parts of lower-case letters, digits and `._-`, joined by `/`, a registry with a port before them, a tag after them. */
const NAME = /^(?:[a-z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$/u;
const DIGEST = /^sha256:[0-9a-f]{4,64}$/u;
const MAX_NAME = 255;

export const isImageName = (text: string): boolean => text.length <= MAX_NAME && (NAME.test(text) || DIGEST.test(text));
