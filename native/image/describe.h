// What a tar says of the image that it is the root file system of, where nothing else says it.
#pragma once

#include <stdint.h>

#include "../shared/failure.h"
#include "tar.h"

namespace boxctl::image {

// Added to the e_machine of a big-endian machine.
inline constexpr uint32_t kBigEndian = 1 << 16;

struct Description {
  char newest[32] = "";  // the latest time of modification of its entries, seconds since 1970; "" without entries
  uint32_t machine = 0;  // e_machine of most of its programs (elf(5)); 0 without programs
  Failure failure;
  char entry[tar::kMaxPath] = {};
};

// The tar that is `size` bytes of a file from `offset` on. Reads its headers, and the beginnings of its files.
Description describe(int fd, uint64_t offset, uint64_t size);

}  // namespace boxctl::image
