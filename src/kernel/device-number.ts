/** The two numbers of a device in `st_rdev`, as the C library packs them (makedev(3)). Node gives up to 53 of its bits. */
export function deviceNumbers(rdev: number): { readonly major: number; readonly minor: number } {
  // Bits 8 to 19, and from 44 on.
  const major = (Math.floor(rdev / 2 ** 8) & 0xfff) + Math.floor(rdev / 2 ** 44) * 2 ** 12;
  // Bits 0 to 7, and 20 to 43.
  const minor = (rdev & 0xff) + (Math.floor(rdev / 2 ** 20) % 2 ** 24) * 2 ** 8;
  return { major, minor };
}
