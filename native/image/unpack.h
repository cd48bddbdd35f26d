// Unpacks a tar stream as hostile input. What confines it is the kernel: every path is resolved by openat2(2) beneath
// the target, without following a single link, and used through the descriptor.
#pragma once

#include <stdint.h>

namespace boxctl {

struct UnpackLimits {
  uint64_t entries = 4'000'000;
  uint64_t bytes = uint64_t{256} << 30;  // of data in the stream; holes cost nothing
};

// Reads an uncompressed tar from `in_fd` into the directory `dirfd` and writes one JSON line to `report_fd`:
//   {"entries":N,"bytes":N,"squashed":N,"skipped":N}
//   {"error":"sentence","entry":"path","errno":N}
// `squashed` counts owners that do not exist in this user namespace and became 0; `skipped` device nodes and extended
// attributes that it may not make. Returns 0, or 1 after an error: the tree is then half done. Changes the umask.
int unpack(int dirfd, int in_fd, int report_fd, const UnpackLimits& limits = {});

}  // namespace boxctl
