// What xz(1) may do to the bytes before it compresses them, undone: differences of bytes (delta), and the addresses of
// calls and branches in machine code, which are relative in programs and absolute in the archive (BCJ). The formats are
// those of "The .xz File Format", section 5.3.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../shared/list.h"

namespace boxctl::codec {

class Filter {
 public:
  // The number of a filter and its properties, as a block's header has them. Null, or why it cannot be had.
  const char* set(uint64_t id, const uint8_t* properties, size_t size);

  // Undoes as much of `size` bytes as can be without those that come after them, and returns how much that is. What is
  // left comes again at the beginning of the next call.
  size_t run(uint8_t* bytes, size_t size);

 private:
  size_t convert(uint8_t* bytes, size_t size);
  size_t delta(uint8_t* bytes, size_t size);
  size_t x86(uint8_t* bytes, size_t size);

  uint64_t id_ = 0;
  uint32_t position_ = 0;  // of the next byte in the program
  // x86: where a call was last seen, and which of the bytes before were taken for calls.
  uint32_t seen_ = 0, mask_ = 0;
  size_t distance_ = 0;
  uint8_t history_[256] = {}, at_ = 0;
};

// Up to three of them, in the order in which they were applied.
class Filters {
 public:
  Filters() = default;
  Filters(const Filters&) = delete;
  Filters& operator=(const Filters&) = delete;

  static constexpr size_t kMax = 3;
  void clear();
  const char* add(uint64_t id, const uint8_t* properties, size_t size);
  bool any() const { return count_ > 0; }

  // Takes what was decompressed; with `last` there is no more. False: no memory left. What the call before has given
  // out is gone.
  bool feed(const uint8_t* bytes, size_t size, bool last);
  // What is undone.
  const uint8_t* begin() const { return buffer_; }
  const uint8_t* end() const { return buffer_ + done_[0]; }

 private:
  Filter filters_[kMax];
  size_t done_[kMax + 1] = {};  // how far each has come in the buffer; the last one is what there is
  size_t count_ = 0;
  List<uint8_t> memory_;
  uint8_t* buffer_ = nullptr;  // the beginning of memory_
};

}  // namespace boxctl::codec
