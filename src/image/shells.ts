/** Where `boxctl shell` looks for a shell, the best one first. */
export const SHELLS = ['/bin/bash', '/usr/bin/bash', '/bin/sh', '/usr/bin/sh'] as const;
