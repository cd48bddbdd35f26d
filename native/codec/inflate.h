// DEFLATE (RFC 1951), decoded into a window of its own a piece at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../shared/list.h"
#include "input.h"

namespace boxctl::codec {

class Inflater {
 public:
  explicit Inflater(Input& input) : input_(input) {}
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // False when memory has run out.
  bool allocate();
  // A new stream begins at the input's next byte.
  void restart();

  enum class Step { kMore, kEnd, kCutOff, kDamaged };
  // Decodes until the window is full or the stream has ended; the input then stands behind it. What came out before a
  // failure is not given out.
  Step run();
  // What the last run() has decoded. It lives until the next one.
  const uint8_t* begin() const { return piece_; }
  const uint8_t* end() const { return out_; }

 private:
  static constexpr unsigned kLengthBits = 11, kDistanceBits = 8;
  // A table of so many bits and the tables below it, for any complete code of 288 and of 32 symbols with 15 bits.
  static constexpr size_t kLengthRoom = 2342, kDistanceRoom = 402;

  enum class State { kHeader, kStored, kCoded, kEnd };

  Step block_header();
  Step stored();
  Step coded();
  Step dynamic_tables();
  void fixed_tables();
  bool refill();
  bool need(unsigned count) { return count_ >= count || refill(); }
  uint32_t take(unsigned count);
  bool overrun() const;

  Input& input_;
  List<uint8_t> memory_;
  uint8_t* window_ = nullptr;
  uint8_t* out_ = nullptr;
  const uint8_t* piece_ = nullptr;
  const uint8_t* history_ = nullptr;  // the first byte that a match may refer to
  uint64_t bits_ = 0;                 // the next bits, lowest first; above `count_` there may be more of the same input
  unsigned count_ = 0;
  State state_ = State::kHeader;
  bool last_block_ = false;
  bool fixed_ = false;  // the tables are those of fixed blocks
  uint32_t stored_ = 0;
  uint32_t lengths_[kLengthRoom];
  uint32_t distances_[kDistanceRoom];
};

}  // namespace boxctl::codec
