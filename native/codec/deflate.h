// Compresses to deflate (RFC 1951). The output depends on the input and the level alone: not on the processor, and not
// on how many threads there are. zlib gives no such promise: its builds for different processors hash differently.
//
// A stream is compressed in parts, each by itself, so that threads can share the work. A part may refer to the 32 KiB
// before it, and ends at a byte's boundary (an empty stored block), so the parts follow each other as they are.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../shared/list.h"
#include "huffman_code.h"

namespace boxctl::codec {

inline constexpr int kMinDeflateLevel = 1;
inline constexpr int kMaxDeflateLevel = 9;

class Deflater {
 public:
  static constexpr size_t kWindow = size_t{1} << 15;
  // The largest part: positions are kept in 32 bits.
  static constexpr size_t kMaxPart = size_t{1} << 26;

  explicit Deflater(int level);
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  // Puts the compressed part in place of what is in `out`. Before `data` lie `before` bytes of the stream, at most
  // kWindow. False: there is no memory left.
  bool part(const uint8_t* data, size_t before, size_t size, List<uint8_t>& out);

  // The block that ends a stream of parts.
  static constexpr uint8_t kEnd[2] = {3, 0};

 private:
  struct Match {
    uint32_t length = 0;
    uint32_t distance = 0;
  };
  // A literal has the length 0.
  struct Symbol {
    uint16_t length;
    uint16_t value;
  };
  static constexpr size_t kHashBits = 15, kShortHashBits = 14;
  static constexpr size_t kBlockSymbols = size_t{1} << 15;
  static constexpr size_t kLiterals = 286, kDistances = 30;

  void insert(size_t at);
  Match find(size_t at, uint32_t longer_than, uint32_t tries) const;
  void literal(size_t at);
  void match(const Match& match);
  void end_block();
  void symbols(const Codes& literal_codes, const Codes& distance_codes);
  void stored();
  void bits(uint64_t value, unsigned count);
  void to_byte();

  const uint32_t tries_, lazy_, nice_;
  const bool short_matches_;

  const uint8_t* base_ = nullptr;  // the window before the part, and the part
  size_t end_ = 0;                 // of the part, from base_
  size_t block_start_ = 0;         // what the block's symbols stand for, from base_
  size_t block_end_ = 0;
  uint8_t* to_ = nullptr;
  uint64_t pending_ = 0;
  unsigned pending_bits_ = 0;

  size_t count_ = 0;
  Symbol symbols_[kBlockSymbols];
  uint32_t literal_counts_[kLiterals], distance_counts_[kDistances];
  // Positions plus 1; 0 is none.
  uint32_t heads_[size_t{1} << kHashBits], short_heads_[size_t{1} << kShortHashBits];
  uint32_t chain_[kWindow];
};

}  // namespace boxctl::codec
