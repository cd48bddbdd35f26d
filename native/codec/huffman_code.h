// Huffman codes of limited length, as deflate has them (RFC 1951, 3.2.2).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl::codec {

inline constexpr size_t kMaxCodeSymbols = 288;

struct CodeLengths {
  uint8_t bits[kMaxCodeSymbols] = {};
};

// Codes with their bits in the order in which they are written: the first bit is the lowest.
struct Codes {
  uint16_t code[kMaxCodeSymbols] = {};
  uint8_t bits[kMaxCodeSymbols] = {};
};

// The lengths of the codes of symbols that occur so often; 0 for a symbol that does not occur. No code is longer than
// `limit` bits. At least two symbols get a code: some decoders refuse a code of one.
void code_lengths(const uint32_t* counts, size_t size, unsigned limit, uint8_t* lengths);

// The codes of given lengths.
void assign_codes(const uint8_t* lengths, size_t size, Codes& codes);

}  // namespace boxctl::codec
