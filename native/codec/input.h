// The compressed bytes, buffered, with room behind them that may be read (but not used) past the end.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../image/source.h"
#include "../shared/failure.h"
#include "../shared/list.h"

namespace boxctl::codec {

class Input {
 public:
  static constexpr size_t kSize = 128 * 1024;
  // Readable bytes behind end(); zeroes once the source has ended.
  static constexpr size_t kPadding = 64;
  // So far may `next` go back, over want().
  static constexpr size_t kBack = 8;

  explicit Input(Source source) : source_(source) {}
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // What is there: [next, end()). A codec moves `next`.
  const uint8_t* next = nullptr;
  const uint8_t* end() const { return end_; }
  size_t available() const { return static_cast<size_t>(end_ - next); }
  bool ended() const { return ended_; }

  // Reads until `count` bytes (at most kSize) are available or the source has ended. False when it cannot be read.
  bool want(size_t count);
  // The same, and false as well when the source has ended before: there is no failure() then.
  bool require(size_t count) { return want(count) && available() >= count; }
  // Reads and drops the rest of the source.
  bool drain();
  // Past the buffer, once it is empty.
  ssize_t read_through(void* buffer, size_t size);

  const Failure& failure() const { return failure_; }

 private:
  Source source_;
  List<uint8_t> memory_;
  uint8_t* buffer_ = nullptr;
  uint8_t* end_ = nullptr;
  bool ended_ = false;
  Failure failure_;
};

}  // namespace boxctl::codec
