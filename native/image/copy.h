// Copies a tree that somebody else filled, with all that describes its files.
#pragma once

namespace boxctl {

// Copies what is in the directory `from` into the empty directory `to`: owners, modes, times, extended attributes, hard
// links, device nodes; links are never followed. Where the file system can, data is shared. Returns 0 or an errno, and
// in `path` (of PATH_MAX bytes) what it is about. The umask must be 0.
int copy_tree(int from, int to, char* path);

}  // namespace boxctl
