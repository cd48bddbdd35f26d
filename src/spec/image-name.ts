/** What counts as a name of an image in the store: `NAME[:TAG]` as docker spells them, or the first digits of a digest. */
import { isDigestStart, isProblem, parseImageName } from '../text/image-name.ts';

export const isImageName = (text: string): boolean => isDigestStart(text) || !isProblem(parseImageName(text));
