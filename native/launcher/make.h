// Places to mount at, and working directories: made in the container's root, wherever the image's links lead.
#pragma once

#include <stdint.h>

namespace boxctl {

// Opens `path` (O_PATH) beneath `root`, the container's root. What is missing of it is made, each part under the
// descriptor of the folder that it belongs in: folders, and at the end what `mode` says, a folder or an empty file.
// Links are followed as from inside: a dangling one is made whole. With AT_SYMLINK_NOFOLLOW in `flags` a link at the
// end is replaced instead. `resolve` is openat2's: with RESOLVE_NO_SYMLINKS any link is ELOOP. -EXDEV where something
// would have to be made in /proc, /sys or /dev because a link leads there.
long make_in_root(int root, const char* path, uint64_t mode, uint64_t flags, uint64_t resolve);

}  // namespace boxctl
