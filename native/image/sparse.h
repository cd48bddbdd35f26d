// How the parts of a sparse file are laid out in chunks of one size, as EROFS wants them: a chunk lies in the device,
// or is a hole, or is copied into the index because it is partly data and partly hole or does not begin at a block.
#pragma once

#include "tree.h"

namespace boxctl::image {

inline constexpr unsigned kBlockBits = 9;
inline constexpr uint64_t kBlockSize = 1 << kBlockBits;
// EROFS_CHUNK_FORMAT_BLKBITS_MASK: the largest chunk is of 2^31 blocks.
inline constexpr unsigned kMaxChunkBits = 31;
inline constexpr size_t kChunkIndexSize = 8;

struct ChunkPlan {
  unsigned bits;
  uint64_t chunks;
  uint64_t copied;  // bytes, in whole blocks
};

// The smallest power of two that makes one chunk of a file, or the largest there is.
unsigned bits_for(uint64_t size);

// The size of chunk that costs the index least. Parts are in order, do not overlap, and are not empty.
ChunkPlan plan_chunks(const Part* parts, size_t count, uint64_t size);

enum class ChunkKind { kHole, kStored, kCopied };

// Goes through the chunks in order, from the first.
class Chunks {
 public:
  Chunks(const Part* parts, size_t count, uint64_t size, unsigned bits)
      : parts_(parts), end_(parts + count), size_(size), chunk_(kBlockSize << bits) {}

  // False after the last.
  bool next();
  ChunkKind kind() const { return kind_; }
  uint64_t stored() const { return stored_; }  // kStored: where in the device
  uint64_t begin() const { return begin_; }
  uint64_t length() const { return length_; }   // to the end of the file at most
  const Part* parts() const { return parts_; }  // the first that reaches into the chunk
  const Part* parts_end() const { return end_; }

 private:
  const Part* parts_;
  const Part* const end_;
  const uint64_t size_;
  const uint64_t chunk_;
  uint64_t begin_ = 0;
  uint64_t length_ = 0;
  uint64_t stored_ = 0;
  ChunkKind kind_ = ChunkKind::kHole;
};

}  // namespace boxctl::image
