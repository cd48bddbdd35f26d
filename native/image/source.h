// Where bytes come from: what one stage of reading an image offers to the next.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace boxctl {

// `read` behaves as read(2): 0 at the end, -1 on failure with errno.
struct Source {
  ssize_t (*read)(void* context, void* buffer, size_t size);
  void* context;
  // Where it can be done without reading: goes `size` bytes on; false when the stream ends before.
  bool (*skip)(void* context, uint64_t size) = nullptr;
  // Where the bytes are in memory anyway: as `read`, but they are lent until the next call, and not copied.
  ssize_t (*lend)(void* context, const void** bytes) = nullptr;
};

}  // namespace boxctl
