// Feeds arbitrary bytes to the decoder: the first two choose how they are cut into pieces, on both sides.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/image/decompress.h"

namespace {

struct Memory {
  const uint8_t* data;
  size_t size;
  size_t piece;
};

ssize_t read_memory(void* context, void* buffer, size_t size) {
  auto* const memory = static_cast<Memory*>(context);
  size_t part = size < memory->piece ? size : memory->piece;
  if (part > memory->size) part = memory->size;
  memcpy(buffer, memory->data, part);
  memory->data += part;
  memory->size -= part;
  return static_cast<ssize_t>(part);
}

void require(bool condition) {
  if (!condition) abort();
}

// A small archive may hold gigabytes; its decoder is only asked for the beginning.
constexpr size_t kEnough = 8 << 20;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  Memory memory{data + 2, size - 2, size_t{data[0]} * data[0] + 1};
  static uint8_t buffer[255 * 255 * 4 + 1];
  const size_t piece = size_t{data[1]} * data[1] * 4 + 1;
  boxctl::image::Decoder decoder({read_memory, &memory});
  size_t total = 0;
  ssize_t got;
  while ((got = decoder.read(buffer, piece)) > 0) {
    require(static_cast<size_t>(got) <= piece);
    total += static_cast<size_t>(got);
    // A byte at a time is no way to read megabytes under a sanitizer.
    if (total > (piece < 64 ? size_t{64} << 10 : kEnough)) return 0;
  }
  require((got == 0) == !decoder.failure());
  if (got == 0) require(memory.size == 0 && !decoder.failure());
  require(decoder.read(buffer, piece) == got);
  return 0;
}
