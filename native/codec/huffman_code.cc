#include "huffman_code.h"

#include <string.h>

#include <algorithm>

namespace boxctl::codec {

namespace {

constexpr unsigned kMaxLimit = 15;

struct Leaf {
  uint32_t count;
  uint16_t symbol;
};

// How many codes there are of each length, for leaves that are sorted by their counts: the two-queue algorithm. Lengths
// above the limit count as the limit.
void count_lengths(const Leaf* leaves, size_t size, unsigned limit, uint32_t (&per_length)[kMaxLimit + 1]) {
  uint64_t weight[2 * kMaxCodeSymbols];
  uint16_t parent[2 * kMaxCodeSymbols];
  for (size_t i = 0; i < size; i++) weight[i] = leaves[i].count;
  size_t leaf = 0, node = size;
  const size_t all = 2 * size - 1;
  for (size_t made = size; made < all; made++) {
    uint64_t sum = 0;
    for (int child = 0; child < 2; child++) {
      const bool is_leaf = leaf < size && (node == made || weight[leaf] <= weight[node]);
      const size_t least = is_leaf ? leaf++ : node++;
      parent[least] = static_cast<uint16_t>(made);
      sum += weight[least];
    }
    weight[made] = sum;
  }
  uint16_t depth[2 * kMaxCodeSymbols];
  depth[all - 1] = 0;
  for (size_t i = all - 1; i-- > 0;) {
    depth[i] = static_cast<uint16_t>(depth[parent[i]] + 1);
    if (i < size) per_length[depth[i] < limit ? depth[i] : limit]++;
  }
}

}  // namespace

void code_lengths(const uint32_t* counts, size_t size, unsigned limit, uint8_t* lengths) {
  Leaf leaves[kMaxCodeSymbols];
  size_t used = 0;
  for (size_t i = 0; i < size; i++) {
    lengths[i] = 0;
    if (counts[i] > 0) leaves[used++] = {counts[i], static_cast<uint16_t>(i)};
  }
  for (size_t i = 0; used < 2; i++) {
    if (counts[i] == 0) leaves[used++] = {0, static_cast<uint16_t>(i)};
  }
  std::sort(leaves, leaves + used,
            [](const Leaf& a, const Leaf& b) { return a.count != b.count ? a.count < b.count : a.symbol < b.symbol; });
  uint32_t per_length[kMaxLimit + 1] = {};
  count_lengths(leaves, used, limit, per_length);
  // Codes that were cut to the limit take more room than there is. A shorter code that becomes one bit longer, and
  // gives its other half to one of the longest, makes room for one (as in the JPEG standard, K.3).
  uint64_t room = 0;
  for (unsigned length = 1; length <= limit; length++) room += uint64_t{per_length[length]} << (limit - length);
  for (; room > uint64_t{1} << limit; room--) {
    unsigned length = limit - 1;
    while (per_length[length] == 0) length--;
    per_length[length]--;
    per_length[length + 1] += 2;
    per_length[limit]--;
  }
  size_t at = 0;
  for (unsigned length = limit; length > 0; length--) {
    for (uint32_t i = 0; i < per_length[length]; i++) lengths[leaves[at++].symbol] = static_cast<uint8_t>(length);
  }
}

void assign_codes(const uint8_t* lengths, size_t size, Codes& codes) {
  uint32_t per_length[kMaxLimit + 1] = {}, next[kMaxLimit + 2] = {};
  for (size_t i = 0; i < size; i++) per_length[lengths[i]]++;
  per_length[0] = 0;
  for (unsigned length = 1; length <= kMaxLimit; length++) {
    next[length] = (next[length - 1] + per_length[length - 1]) << 1;
  }
  for (size_t i = 0; i < size; i++) {
    const unsigned length = lengths[i];
    codes.bits[i] = static_cast<uint8_t>(length);
    codes.code[i] = 0;
    if (length == 0) continue;
    uint32_t code = next[length]++, reversed = 0;
    for (unsigned bit = 0; bit < length; bit++, code >>= 1) reversed = reversed << 1 | (code & 1);
    codes.code[i] = static_cast<uint16_t>(reversed);
  }
}

}  // namespace boxctl::codec
