// Fills a new volume with what an image has at its target.
#pragma once

#include <stdint.h>

namespace boxctl {

// Copies what is in the folder `from` (-1: nothing) to the folder `to`, whose mode must be 0: then, and last of all, it
// gets the owner and the mode of `from`. A folder with another mode is left as it is. A copy that was interrupted, and
// so left mode 0, is begun anew. Returns 0 or -errno.
//
// Folders, files, links, pipes, owners, modes, times and extended attributes are copied (copy.h); sockets and device
// nodes are not.
// `uid`, `gid` and `mode` are for the folder itself, whatever `from` has; kAsSource (copy.h) for what it has, which
// with nothing to copy is the caller's own ids and 0755.
long copytree(int from, int to, uint32_t uid, uint32_t gid, uint32_t mode);

}  // namespace boxctl
