// CRC-32 as gzip and xz use it (ISO 3309, bits reflected), by the processor's own instructions where it has them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl::codec {

// Continues `crc`, which is 0 at the start.
uint32_t crc32(uint32_t crc, const void* data, size_t size);

// The same without special instructions: what the other is tested against.
uint32_t crc32_portable(uint32_t crc, const void* data, size_t size);

}  // namespace boxctl::codec
