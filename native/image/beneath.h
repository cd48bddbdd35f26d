// Paths of an archive in the tree that is made from it: resolved by the kernel beneath the tree's root, without
// following a link.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>

#include "../shared/fd.h"
#include "../shared/syscalls.h"

namespace boxctl::image {

// A descriptor or -errno. With O_NOFOLLOW in `flags` and O_PATH, a link itself is opened.
inline long open_beneath(int root, const char* path, uint64_t flags) {
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return call(kSysOpenat2, root, path, &how, sizeof how);
}

}  // namespace boxctl::image
