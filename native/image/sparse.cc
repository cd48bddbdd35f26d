#include "sparse.h"

namespace boxctl::image {

namespace {

uint64_t in_blocks(uint64_t bytes) { return (bytes + kBlockSize - 1) / kBlockSize * kBlockSize; }

bool aligned(const Part& part) { return (part.stored - part.offset) % kBlockSize == 0; }

// Bytes that chunks of this size make the index copy.
uint64_t copied_with(const Part* parts, size_t count, uint64_t size, uint64_t chunk) {
  uint64_t copied = 0, next = 0;  // chunks before `next` are counted
  const auto count_chunks = [&](uint64_t from, uint64_t to) {
    if (from < next) from = next;
    if (from >= to) return;
    const uint64_t begin = from * chunk;
    const uint64_t end = (size - 1) / chunk + 1 == to ? size : to * chunk;
    copied += in_blocks(end - begin);
    next = to;
  };
  for (size_t i = 0; i < count; i++) {
    const Part& part = parts[i];
    const uint64_t end = part.offset + part.size;
    const uint64_t first = part.offset / chunk, after = (end - 1) / chunk + 1;
    if (!aligned(part)) {
      count_chunks(first, after);
      continue;
    }
    // Those that it fills need no copy.
    const uint64_t full = (part.offset + chunk - 1) / chunk;
    const uint64_t full_end = end == size ? after : end / chunk;
    if (full >= full_end) {
      count_chunks(first, after);
      continue;
    }
    count_chunks(first, full);
    count_chunks(full_end, after);
  }
  return copied;
}

}  // namespace

unsigned bits_for(uint64_t size) {
  unsigned bits = 0;
  while (bits < kMaxChunkBits && kBlockSize << bits < size) bits++;
  return bits;
}

ChunkPlan plan_chunks(const Part* parts, size_t count, uint64_t size) {
  ChunkPlan best = {};
  uint64_t best_cost = UINT64_MAX;
  if (size == 0) return best;
  const unsigned most = bits_for(size);
  // From the largest down: of two that cost the same, the larger makes the kernel look up less.
  for (unsigned bits = most;; bits--) {
    const uint64_t chunk = kBlockSize << bits;
    const uint64_t chunks = (size - 1) / chunk + 1;
    // More indexes alone than the best one costs in all, and smaller chunks need still more.
    if (chunks * kChunkIndexSize >= best_cost) break;
    const uint64_t copied = copied_with(parts, count, size, chunk);
    const uint64_t cost = chunks * kChunkIndexSize + copied;
    if (cost < best_cost) {
      best_cost = cost;
      best = {bits, chunks, copied};
    }
    if (bits == 0) break;
  }
  return best;
}

bool Chunks::next() {
  begin_ += length_;
  if (begin_ >= size_) return false;
  length_ = size_ - begin_ < chunk_ ? size_ - begin_ : chunk_;
  while (parts_ != end_ && parts_->offset + parts_->size <= begin_) parts_++;
  if (parts_ == end_ || parts_->offset >= begin_ + length_) {
    kind_ = ChunkKind::kHole;
  } else if (aligned(*parts_) && parts_->offset <= begin_ && parts_->offset + parts_->size >= begin_ + length_) {
    kind_ = ChunkKind::kStored;
    stored_ = parts_->stored + (begin_ - parts_->offset);
  } else {
    kind_ = ChunkKind::kCopied;
  }
  return true;
}

}  // namespace boxctl::image
