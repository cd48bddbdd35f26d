/** As much as an image may be where its file does not say more. */
export const DEFAULT_LIMITS = { maxBytes: 32 * 2 ** 30, maxEntries: 2_000_000 };
