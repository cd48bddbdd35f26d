// CRC-64 as xz uses it (ECMA-182, bits reflected).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl::codec {

// Continues `crc`, which is 0 at the start.
uint64_t crc64(uint64_t crc, const void* data, size_t size);

}  // namespace boxctl::codec
