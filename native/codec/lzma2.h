// LZMA2, the compression inside of xz: chunks of LZMA, decoded into a dictionary of its own a piece at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../shared/list.h"
#include "input.h"

namespace boxctl::codec {

class Lzma2 {
 public:
  explicit Lzma2(Input& input) : input_(input) {}
  Lzma2(const Lzma2&) = delete;
  Lzma2& operator=(const Lzma2&) = delete;

  // Begins new data with a dictionary of so many bytes, of which no more than `most` are kept. False when memory has
  // run out. What the last run() has decoded is gone.
  bool restart(size_t dictionary, size_t most);

  // kTooFar: a dictionary of more than `most` bytes would be needed from here on.
  enum class Step { kMore, kEnd, kCutOff, kDamaged, kNoMemory, kTooFar };
  // Decodes some more. At kEnd there is nothing new, and the input stands behind the data.
  Step run();
  // What the last run() has decoded. It lives until the next one.
  const uint8_t* begin() const { return piece_; }
  const uint8_t* end() const { return dictionary_ + position_; }
  // Compressed bytes since restart().
  uint64_t consumed() const { return consumed_; }

 private:
  static constexpr size_t kStates = 12, kPositions = 16;
  using Probability = uint16_t;

  struct Length {
    Probability choice, choice2, low[kPositions][8], mid[kPositions][8], high[256];
  };
  // All of them are plain probabilities, so that they can be reset as one array.
  struct Model {
    Probability match[kStates][kPositions], rep[kStates], rep0[kStates], rep1[kStates], rep2[kStates];
    Probability rep0_long[kStates][kPositions];
    Probability slot[4][64], special[116], align[16];
    Length match_length, rep_length;
    Probability literal[16 * 0x300];
  };

  Step turn();
  Step chunk_header();
  Step stored();
  Step coded();
  void reset_state();

  Input& input_;
  List<uint8_t> memory_;
  uint8_t* dictionary_ = nullptr;  // a ring at the beginning of memory_
  size_t size_ = 0;                // of the ring
  size_t most_ = 0;                // so large it may get
  size_t distance_ = 0;            // how far back a match may reach at most
  size_t position_ = 0;
  uint64_t filled_ = 0;  // bytes since the dictionary was reset
  const uint8_t* piece_ = nullptr;
  uint64_t consumed_ = 0;

  enum class State { kChunk, kStored, kCoded, kEnd };
  State state_ = State::kChunk;
  bool needs_reset_ = true, needs_properties_ = true;
  size_t unpacked_ = 0;                 // bytes that the chunk still has to give
  size_t stored_ = 0;                   // of them, bytes that are not compressed
  const uint8_t* chunk_end_ = nullptr;  // of a compressed chunk, all of which is in the input's buffer

  // LZMA's own state.
  uint32_t range_ = 0, code_ = 0;
  uint32_t last_ = 0;  // what the last symbols were, 0 to 11
  uint32_t reps_[4] = {};
  uint32_t pending_ = 0;  // bytes of a match that are still to be copied
  uint32_t literal_context_ = 0, literal_position_mask_ = 0, position_mask_ = 0;
  Model model_;
};

}  // namespace boxctl::codec
