#include "deflate.h"

#include <string.h>

#include <algorithm>

namespace boxctl::codec {

namespace {

constexpr uint32_t kLeastMatch = 3, kHashedMatch = 4, kMostMatch = 258;
// A match of 3 bytes from farther away costs more bits than three literals.
constexpr uint32_t kShortDistance = 4096;
constexpr unsigned kMaxBits = 15, kMaxLengthBits = 7;
constexpr size_t kEndOfBlock = 256;
constexpr size_t kStoredBlock = 65535;

struct Level {
  uint32_t tries;  // positions that a search looks at
  uint32_t lazy;   // a match that is shorter is compared with that of the next position; 0: never
  uint32_t nice;   // a match that is as long ends the search
  bool short_matches;
};

constexpr Level kLevels[kMaxDeflateLevel + 1] = {
    {},
    {3, 0, 16, false},
    {6, 0, 32, false},
    {10, 4, 32, false},
    {12, 8, 48, false},
    {16, 16, 64, true},
    {28, 32, 128, true},
    {64, 64, 192, true},
    {256, 258, 258, true},
    {1024, 258, 258, true},
};

struct Base {
  uint16_t first;
  uint8_t extra;
};

constexpr Base kLengthBases[29] = {{3, 0},   {4, 0},   {5, 0},   {6, 0},   {7, 0},  {8, 0},  {9, 0},  {10, 0},
                                   {11, 1},  {13, 1},  {15, 1},  {17, 1},  {19, 2}, {23, 2}, {27, 2}, {31, 2},
                                   {35, 3},  {43, 3},  {51, 3},  {59, 3},  {67, 4}, {83, 4}, {99, 4}, {115, 4},
                                   {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0}};
constexpr Base kDistanceBases[30] = {{1, 0},     {2, 0},     {3, 0},     {4, 0},      {5, 1},      {7, 1},
                                     {9, 2},     {13, 2},    {17, 3},    {25, 3},     {33, 4},     {49, 4},
                                     {65, 5},    {97, 5},    {129, 6},   {193, 6},    {257, 7},    {385, 7},
                                     {513, 8},   {769, 8},   {1025, 9},  {1537, 9},   {2049, 10},  {3073, 10},
                                     {4097, 11}, {6145, 11}, {8193, 12}, {12289, 12}, {16385, 13}, {24577, 13}};

// Which of the bases a length or a distance belongs to.
struct Tables {
  uint8_t length[kMostMatch + 1] = {};
  // By the distance less 1 up to 256, and by its upper bits above.
  uint8_t near[256] = {}, far[256] = {};

  constexpr Tables() {
    for (uint8_t code = 0; code < 29; code++) {
      for (uint32_t i = kLengthBases[code].first; i <= kMostMatch; i++) length[i] = code;
    }
    for (uint8_t code = 0; code < 30; code++) {
      for (uint32_t i = kDistanceBases[code].first - 1U; i < 256; i++) near[i] = code;
      for (uint32_t i = (kDistanceBases[code].first - 1U) >> 7; i < 256; i++) far[i] = code;
    }
  }
};
constexpr Tables kTables;

unsigned distance_code(uint32_t distance) {
  return distance <= 256 ? kTables.near[distance - 1] : kTables.far[(distance - 1) >> 7];
}

uint32_t load32(const uint8_t* from) {
  uint32_t value;
  memcpy(&value, from, sizeof value);
  return value;
}

uint32_t match_length(const uint8_t* a, const uint8_t* b, uint32_t most) {
  uint32_t length = 0;
  while (length + 8 <= most) {
    uint64_t x, y;
    memcpy(&x, a + length, sizeof x);
    memcpy(&y, b + length, sizeof y);
    if (x != y) return length + static_cast<uint32_t>(__builtin_ctzll(x ^ y)) / 8;
    length += 8;
  }
  while (length < most && a[length] == b[length]) length++;
  return length;
}

// The order in which the lengths of the code for code lengths are written.
constexpr uint8_t kOrder[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

// The lengths of both codes as runs (RFC 1951, 3.2.7).
struct Runs {
  struct Run {
    uint8_t symbol, extra;
  } runs[kMaxCodeSymbols + 32];
  size_t size = 0;
  uint32_t counts[19] = {};

  void add(uint8_t symbol, size_t extra) {
    runs[size++] = {symbol, static_cast<uint8_t>(extra)};
    counts[symbol]++;
  }

  Runs(const uint8_t* lengths, size_t count) {
    for (size_t i = 0; i < count;) {
      size_t same = 1;
      while (i + same < count && lengths[i + same] == lengths[i]) same++;
      const uint8_t length = lengths[i];
      i += same;
      if (length > 0) {
        add(length, 0);
        same--;
      }
      while (same >= 3) {
        const size_t most = length > 0 ? 6 : same > 10 ? 138 : 10;
        const size_t run = same < most ? same : most;
        if (length > 0) {
          add(16, run - 3);
        } else if (run > 10) {
          add(18, run - 11);
        } else {
          add(17, run - 3);
        }
        same -= run;
      }
      for (; same > 0; same--) add(length, 0);
    }
  }
};

constexpr unsigned run_bits(unsigned symbol) { return symbol == 16 ? 2 : symbol == 17 ? 3 : symbol == 18 ? 7 : 0; }

uint8_t fixed_literal_bits(size_t symbol) { return symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8; }

}  // namespace

Deflater::Deflater(int level)
    : tries_(kLevels[level].tries),
      lazy_(kLevels[level].lazy),
      nice_(kLevels[level].nice),
      short_matches_(kLevels[level].short_matches) {}

// What is written is at most 48 bits at a time, beside fewer than 8 that wait.
void Deflater::bits(uint64_t value, unsigned count) {
  pending_ |= value << pending_bits_;
  pending_bits_ += count;
  const uint64_t little = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(pending_) : pending_;
  memcpy(to_, &little, sizeof little);
  to_ += pending_bits_ / 8;
  pending_ = pending_bits_ >= 64 ? 0 : pending_ >> (pending_bits_ & ~7U);
  pending_bits_ &= 7;
}

void Deflater::to_byte() {
  if (pending_bits_ > 0) bits(0, 8 - pending_bits_);
}

void Deflater::insert(size_t at) {
  if (at + kHashedMatch > end_) return;
  const uint32_t word = load32(base_ + at);
  uint32_t& head = heads_[(word * 0x9e3779b1U) >> (32 - kHashBits)];
  chain_[at % kWindow] = head;
  head = static_cast<uint32_t>(at + 1);
  if (short_matches_) {
    const uint32_t start = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? word >> 8 : word << 8;
    short_heads_[(start * 0x9e3779b1U) >> (32 - kShortHashBits)] = static_cast<uint32_t>(at + 1);
  }
}

// The longest match at `at` that is longer than `longer_than`; a length of 0 for none.
Deflater::Match Deflater::find(size_t at, uint32_t longer_than, uint32_t tries) const {
  Match best;
  const uint32_t most = static_cast<uint32_t>(std::min<size_t>(kMostMatch, end_ - at));
  if (most < kHashedMatch || longer_than >= most) return best;
  const uint8_t* const here = base_ + at;
  const uint32_t word = load32(here);
  uint32_t length = longer_than;
  if (short_matches_ && length < kLeastMatch) {
    const uint32_t start = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? word >> 8 : word << 8;
    const uint32_t found = short_heads_[(start * 0x9e3779b1U) >> (32 - kShortHashBits)];
    if (found > 0 && at - (found - 1) <= kShortDistance && memcmp(base_ + found - 1, here, kLeastMatch) == 0) {
      length = kLeastMatch;
      best = {length, static_cast<uint32_t>(at - (found - 1))};
    }
  }
  const uint32_t nice = std::min(nice_, most);
  for (uint32_t next = heads_[(word * 0x9e3779b1U) >> (32 - kHashBits)]; next > 0 && tries > 0; tries--) {
    const size_t from = next - 1;
    if (at - from > kWindow) break;
    const uint8_t* const there = base_ + from;
    if (there[length] == here[length] && load32(there) == word) {
      const uint32_t found = match_length(there, here, most);
      if (found > length && found >= kHashedMatch) {
        length = found;
        best = {length, static_cast<uint32_t>(at - from)};
        if (length >= nice || length == most) break;
      }
    }
    const uint32_t before = chain_[from % kWindow];
    // The place was taken by a later position.
    if (before >= next) break;
    next = before;
  }
  return best;
}

void Deflater::literal(size_t at) {
  literal_counts_[base_[at]]++;
  symbols_[count_++] = {0, base_[at]};
  block_end_ = at + 1;
  if (count_ == kBlockSymbols) end_block();
}

void Deflater::match(const Match& found) {
  literal_counts_[257U + kTables.length[found.length]]++;
  distance_counts_[distance_code(found.distance)]++;
  symbols_[count_++] = {static_cast<uint16_t>(found.length), static_cast<uint16_t>(found.distance)};
  block_end_ += found.length;
  if (count_ == kBlockSymbols) end_block();
}

bool Deflater::part(const uint8_t* data, size_t before, size_t size, List<uint8_t>& out) {
  // Stored blocks are the worst case, and each block of symbols may leave a short one.
  const size_t blocks = size / kBlockSymbols + size / kStoredBlock + 4;
  if (!out.resize(size + blocks * 8 + 64)) return false;
  to_ = out.begin();
  pending_ = 0;
  pending_bits_ = 0;
  base_ = data - before;
  end_ = before + size;
  memset(heads_, 0, sizeof heads_);
  memset(short_heads_, 0, sizeof short_heads_);
  memset(literal_counts_, 0, sizeof literal_counts_);
  memset(distance_counts_, 0, sizeof distance_counts_);
  count_ = 0;
  for (size_t at = 0; at < before; at++) insert(at);
  block_start_ = block_end_ = before;
  Match last;  // of the position before, which was not written yet
  bool waits = false;
  for (size_t at = before; at < end_;) {
    Match found = find(at, waits ? last.length : 2, waits && last.length >= lazy_ / 2 ? tries_ / 4 + 1 : tries_);
    insert(at);
    if (waits && found.length <= last.length) {
      match(last);
      for (const size_t until = at - 1 + last.length; ++at < until;) insert(at);
      waits = false;
      continue;
    }
    if (waits) literal(at - 1);
    waits = false;
    if (found.length == 0) {
      literal(at++);
    } else if (found.length < lazy_ && at + 1 < end_) {
      last = found;
      waits = true;
      at++;
    } else {
      match(found);
      for (const size_t until = at + found.length; ++at < until;) insert(at);
    }
  }
  if (waits) match(last);
  if (count_ > 0) end_block();
  // An empty stored block.
  bits(0, 3);
  to_byte();
  bits(0xffff0000, 32);
  return out.resize(static_cast<size_t>(to_ - out.begin()));
}

// Writes the block in the form that takes the fewest bits.
void Deflater::end_block() {
  literal_counts_[kEndOfBlock]++;
  CodeLengths literals, distances;
  code_lengths(literal_counts_, kLiterals, kMaxBits, literals.bits);
  code_lengths(distance_counts_, kDistances, kMaxBits, distances.bits);
  size_t literal_size = kLiterals, distance_size = kDistances;
  while (literal_size > 257 && literals.bits[literal_size - 1] == 0) literal_size--;
  while (distance_size > 1 && distances.bits[distance_size - 1] == 0) distance_size--;
  uint64_t dynamic = 0, fixed = 0, extra = 0;
  for (size_t i = 0; i < kLiterals; i++) {
    dynamic += uint64_t{literal_counts_[i]} * literals.bits[i];
    fixed += uint64_t{literal_counts_[i]} * fixed_literal_bits(i);
    if (i > kEndOfBlock) extra += uint64_t{literal_counts_[i]} * kLengthBases[i - 257].extra;
  }
  for (size_t i = 0; i < kDistances; i++) {
    dynamic += uint64_t{distance_counts_[i]} * distances.bits[i];
    fixed += uint64_t{distance_counts_[i]} * 5;
    extra += uint64_t{distance_counts_[i]} * kDistanceBases[i].extra;
  }
  uint8_t both[kLiterals + kDistances];
  memcpy(both, literals.bits, literal_size);
  memcpy(both + literal_size, distances.bits, distance_size);
  const Runs runs(both, literal_size + distance_size);
  uint8_t run_lengths[19];
  code_lengths(runs.counts, 19, kMaxLengthBits, run_lengths);
  size_t orders = 19;
  while (orders > 4 && run_lengths[kOrder[orders - 1]] == 0) orders--;
  dynamic += 14 + 3 * orders;
  for (unsigned i = 0; i < 19; i++) dynamic += uint64_t{runs.counts[i]} * (run_lengths[i] + run_bits(i));
  const size_t size = block_end_ - block_start_;
  const uint64_t as_stored = 8 * (uint64_t{size} + 5 * (size / kStoredBlock + 1));
  if (as_stored <= std::min(dynamic, fixed) + extra + 3) {
    stored();
  } else if (fixed <= dynamic) {
    bits(1 << 1, 3);
    CodeLengths fixed_literals, fixed_distances;
    for (size_t i = 0; i < kMaxCodeSymbols; i++) fixed_literals.bits[i] = fixed_literal_bits(i);
    memset(fixed_distances.bits, 5, 30);
    Codes literal_codes, distance_codes;
    assign_codes(fixed_literals.bits, kMaxCodeSymbols, literal_codes);
    assign_codes(fixed_distances.bits, 30, distance_codes);
    symbols(literal_codes, distance_codes);
  } else {
    bits(2 << 1, 3);
    bits(literal_size - 257, 5);
    bits(distance_size - 1, 5);
    bits(orders - 4, 4);
    for (size_t i = 0; i < orders; i++) bits(run_lengths[kOrder[i]], 3);
    Codes run_codes;
    assign_codes(run_lengths, 19, run_codes);
    for (size_t i = 0; i < runs.size; i++) {
      const auto [symbol, more] = runs.runs[i];
      bits(run_codes.code[symbol], run_codes.bits[symbol]);
      bits(more, run_bits(symbol));
    }
    Codes literal_codes, distance_codes;
    assign_codes(literals.bits, kLiterals, literal_codes);
    assign_codes(distances.bits, kDistances, distance_codes);
    symbols(literal_codes, distance_codes);
  }
  block_start_ = block_end_;
  count_ = 0;
  memset(literal_counts_, 0, sizeof literal_counts_);
  memset(distance_counts_, 0, sizeof distance_counts_);
}

void Deflater::symbols(const Codes& literal_codes, const Codes& distance_codes) {
  for (size_t i = 0; i < count_; i++) {
    const auto [length, value] = symbols_[i];
    if (length == 0) {
      bits(literal_codes.code[value], literal_codes.bits[value]);
      continue;
    }
    const unsigned of_length = kTables.length[length], of_distance = distance_code(value);
    uint64_t all = literal_codes.code[257 + of_length];
    unsigned count = literal_codes.bits[257 + of_length];
    const auto put = [&](uint64_t bits, unsigned size) {
      all |= bits << count;
      count += size;
    };
    put(static_cast<uint64_t>(length - kLengthBases[of_length].first), kLengthBases[of_length].extra);
    put(distance_codes.code[of_distance], distance_codes.bits[of_distance]);
    put(static_cast<uint64_t>(value - kDistanceBases[of_distance].first), kDistanceBases[of_distance].extra);
    bits(all, count);
  }
  bits(literal_codes.code[kEndOfBlock], literal_codes.bits[kEndOfBlock]);
}

void Deflater::stored() {
  for (size_t at = block_start_; at < block_end_;) {
    const size_t size = std::min(kStoredBlock, block_end_ - at);
    bits(0, 3);
    to_byte();
    bits(size | (~size & 0xffff) << 16, 32);
    memcpy(to_, base_ + at, size);
    to_ += size;
    at += size;
  }
}

}  // namespace boxctl::codec
