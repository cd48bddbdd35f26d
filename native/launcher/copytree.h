// Fills a new volume with what an image has at its target.
#pragma once

namespace boxctl {

// Copies what is in the folder `from` (-1: nothing) to the folder `to`, whose mode must be 0: then, and last of all, it
// gets the owner and the mode of `from`. A folder with another mode is left as it is. A copy that was interrupted, and
// so left mode 0, is begun anew. Returns 0 or errno.
//
// Folders, files, links, pipes, owners, modes, times and extended attributes are copied (copy.h); sockets and device
// nodes are not.
int copytree(int from, int to);

}  // namespace boxctl
