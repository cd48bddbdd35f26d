// Feeds arbitrary bytes to the tar reader. With libFuzzer:
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined test/conformance/fuzz-tar.cc native/image/tar*.cc
//     native/image/foreign.cc
// Without (-DSTANDALONE, any compiler): mutates the given archives for ITERATIONS rounds, repairing most checksums so
// that the mutants get past the first header.
//   fuzz-tar ITERATIONS ARCHIVE…
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/image/tar.h"

namespace {

struct Memory {
  const uint8_t* data;
  size_t size;
};

ssize_t read_memory(void* context, void* buffer, size_t size) {
  auto* const memory = static_cast<Memory*>(context);
  // Odd pieces, so that headers and data cross the borders of the reader's buffer.
  size_t part = size < 1537 ? size : 1537;
  if (part > memory->size) part = memory->size;
  memcpy(buffer, memory->data, part);
  memory->data += part;
  memory->size -= part;
  return static_cast<ssize_t>(part);
}

void require(bool condition) {
  if (!condition) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using boxctl::tar::Reader;
  Memory memory{data, size};
  Reader reader({read_memory, &memory});
  uint64_t sum = 0;
  for (;;) {
    const Reader::Step step = reader.next();
    if (step == Reader::Step::kError) {
      require(reader.failure() && reader.next() == Reader::Step::kError);
      break;
    }
    if (step == Reader::Step::kEnd) {
      require(reader.drain() && memory.size == 0);
      break;
    }
    const auto& entry = reader.entry();
    sum += strlen(entry.path) + strlen(entry.link);
    require(entry.mtime_ns < 1'000'000'000 && entry.mode <= 07777 && entry.size <= INT64_MAX);
    for (size_t i = 0; i < entry.xattr_count; i++) {
      sum += strlen(entry.xattrs[i].name);
      for (size_t j = 0; j < entry.xattrs[i].size; j++) sum += static_cast<uint8_t>(entry.xattrs[i].value[j]);
    }
    size_t count;
    const boxctl::tar::Chunk* const chunks = reader.chunks(count);
    uint64_t last = 0, stored = 0;
    for (size_t i = 0; reader.sparse() && i < count; i++) {
      require(chunks[i].offset >= last && chunks[i].size <= entry.size - chunks[i].offset);
      last = chunks[i].offset + chunks[i].size;
      stored += chunks[i].size;
    }
    require(!reader.sparse() || stored == reader.stored_size());
    require(entry.type != boxctl::tar::Type::kFile || reader.sparse() || entry.size == reader.stored_size());
  }
  volatile uint64_t sink = sum;
  (void)sink;
  return 0;
}

#ifdef STANDALONE
#include "mutate.h"
#endif
