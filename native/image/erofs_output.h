// What is written to an index one piece after the other.
#pragma once

#include <string.h>

#include "erofs.h"
#include "sparse.h"

namespace boxctl::image {

// Writes from one place on, in large pieces, and makes a fingerprint of all of it.
class Output {
 public:
  explicit Output(Sink sink, uint64_t start) : sink_(sink), at_(start), flushed_(start) {}

  uint64_t at() const { return at_; }
  bool put(const void* bytes, size_t size) {
    const auto* from = static_cast<const uint8_t*>(bytes);
    while (size > 0) {
      const size_t part = size < sizeof buffer_ - used_ ? size : sizeof buffer_ - used_;
      memcpy(buffer_ + used_, from, part);
      used_ += part;
      at_ += part;
      from += part;
      size -= part;
      if (used_ == sizeof buffer_ && !flush()) return false;
    }
    return true;
  }
  bool pad_to(uint64_t place) {
    static constexpr uint8_t kZeroes[kBlockSize] = {};
    while (at_ < place) {
      if (!put(kZeroes, place - at_ < sizeof kZeroes ? place - at_ : sizeof kZeroes)) return false;
    }
    return at_ == place;
  }
  bool flush() {
    size_t i = 0;
    for (; i + 8 <= used_; i += 8) {
      uint64_t word;
      memcpy(&word, buffer_ + i, sizeof word);
      mix(word);
    }
    for (; i < used_; i++) mix(buffer_[i]);
    const bool written = used_ == 0 || sink_.write(sink_.context, flushed_, buffer_, used_);
    flushed_ += used_;
    used_ = 0;
    return written;
  }
  // Different contents, different numbers: overlay tells lower layers apart by them. No safety depends on it.
  void fingerprint(uint8_t (&uuid)[16]) const {
    memcpy(uuid, mixed_, sizeof uuid);
    // Version 8 of RFC 9562: the way in which it is made is our own.
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x80);
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
  }

 private:
  void mix(uint64_t word) {
    mixed_[0] = (mixed_[0] ^ word) * 0x9e3779b97f4a7c15;
    mixed_[0] ^= mixed_[0] >> 29;
    mixed_[1] = (mixed_[1] + word) * 0xc2b2ae3d27d4eb4f;
    mixed_[1] ^= mixed_[1] >> 31;
  }

  const Sink sink_;
  uint64_t at_;
  uint64_t flushed_;
  size_t used_ = 0;
  uint64_t mixed_[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};
  uint8_t buffer_[64 * 1024];
};

}  // namespace boxctl::image
