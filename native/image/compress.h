// Compresses a stream on all processors. The output depends on the content and the level alone: not on the machine, nor
// on how many processors it has, nor on the time.
//
//   gzip   parts of 1 MiB, each by the window before it (codec/deflate.h); no name and no time in the header
//   zstd   the reference implementation with its own threads, whose jobs are cut by the level alone; with a checksum
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../codec/sha256.h"
#include "../shared/failure.h"
#include "decompress.h"
#include "source.h"

namespace boxctl::image {

// Writes to a descriptor, and counts and digests what it writes.
class Output {
 public:
  explicit Output(int fd) : fd_(fd) {}
  Failure write(const void* data, size_t size);
  uint64_t size() const { return size_; }
  // 64 hex digits. Nothing is written after it.
  const char* digest();

 private:
  const int fd_;
  codec::Sha256 hash_;
  uint64_t size_ = 0;
  char hex_[codec::Sha256::kHexSize] = {};
};

// Whether there is an encoder for it, with such a level. 0 is the level that is usual for it.
bool can_compress(Compression compression, uint64_t level);

// `size`: bytes of the stream, which lends them. A source that fails makes this fail, with its errno.
Failure compress(const Source& source, uint64_t size, Compression compression, uint64_t level, Output& output);

}  // namespace boxctl::image
