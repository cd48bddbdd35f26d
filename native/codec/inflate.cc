#include "inflate.h"

#include <string.h>

#include <array>
#include <bit>

namespace boxctl::codec {

namespace {

static_assert(std::endian::native == std::endian::little, "bits are loaded eight bytes at a time");

// As far back as a match may reach, and as much as one run decodes.
constexpr size_t kHistory = 32 * 1024;
constexpr size_t kPiece = 256 * 1024;
// The longest match that begins in the last place of a piece, and what copying in words writes too much.
constexpr size_t kSlack = 258 + 64;
// One round of the loop refills its bits at most three times, by at most eight bytes.
constexpr ptrdiff_t kInputMargin = 32;
// So far behind the end may a refill stand that has taken only zeroes which are not there.
constexpr ptrdiff_t kInputExcess = 8;

constexpr unsigned kMaxCode = 15;
constexpr size_t kLengthSymbols = 288, kDistanceSymbols = 32, kCodeSymbols = 19;

// An entry of a decoding table. The lowest byte is how many bits are used up, by the code and the extra bits behind it.
//   literal             its value in bits 16-23
//   length, distance    its base from bit 16 on; bits 8-11: how many bits the code has
//   anything else       kSpecial and one of the three marks; with kSubtable, the start of the table below from bit 16
//   on
//                       and in bits 8-11 how many bits choose from it
constexpr uint32_t kLiteral = 1u << 31, kSpecial = 1u << 15, kSubtable = 1u << 14, kBlockEnd = 1u << 13;
constexpr uint32_t kInvalid = kSpecial | 1u << 12 | 1;

// What a symbol means, as an entry without the length of its code.
constexpr auto kLengthMeanings = [] {
  std::array<uint32_t, kLengthSymbols> meanings{};
  for (uint32_t i = 0; i < 256; i++) meanings[i] = kLiteral | i << 16;
  meanings[256] = kSpecial | kBlockEnd;
  uint32_t base = 3;
  for (uint32_t i = 257; i < 285; i++) {
    const uint32_t extra = i < 265 ? 0 : (i - 261) / 4;
    meanings[i] = base << 16 | extra;
    base += 1u << extra;
  }
  meanings[285] = 258u << 16;
  meanings[286] = meanings[287] = kInvalid;
  return meanings;
}();

constexpr auto kDistanceMeanings = [] {
  std::array<uint32_t, kDistanceSymbols> meanings{};
  uint32_t base = 1;
  for (uint32_t i = 0; i < 30; i++) {
    const uint32_t extra = i < 4 ? 0 : i / 2 - 1;
    meanings[i] = base << 16 | extra;
    base += 1u << extra;
  }
  meanings[30] = meanings[31] = kInvalid;
  return meanings;
}();

// The lengths of the codes of the code lengths.
constexpr auto kCodeMeanings = [] {
  std::array<uint32_t, kCodeSymbols> meanings{};
  for (uint32_t i = 0; i < kCodeSymbols; i++) meanings[i] = i << 16;
  return meanings;
}();

uint32_t reverse(uint32_t code, unsigned length) {
  uint32_t reversed = 0;
  for (; length > 0; length--, code >>= 1) reversed = reversed << 1 | (code & 1);
  return reversed;
}

uint32_t entry_of(uint32_t meaning, unsigned length) {
  return (meaning & kSpecial) != 0 || (meaning & kLiteral) != 0 ? meaning | length : meaning + (length << 8 | length);
}

// Makes the table of a canonical code. False when the lengths are no prefix code: too many codes, or too few, except
// that a code of a single bit, or none at all, may stand alone (`lone`).
bool make_table(uint32_t* table, size_t room, unsigned table_bits, const uint8_t* lengths, const uint32_t* meanings,
                size_t symbols, bool lone) {
  uint16_t counts[kMaxCode + 1] = {};
  for (size_t i = 0; i < symbols; i++) counts[lengths[i]]++;
  counts[0] = 0;
  int32_t left = 1;
  unsigned longest = 0;
  for (unsigned length = 1; length <= kMaxCode; length++) {
    left = (left << 1) - counts[length];
    if (left < 0) return false;
    if (counts[length] > 0) longest = length;
  }
  const size_t size = size_t{1} << table_bits;
  if (left > 0) {
    if (!lone || longest > 1) return false;
    for (size_t i = 0; i < size; i++) table[i] = kInvalid;
  }

  // The symbols in the order of their codes.
  uint16_t starts[kMaxCode + 2] = {};
  for (unsigned length = 1; length <= kMaxCode; length++) {
    starts[length + 1] = static_cast<uint16_t>(starts[length] + counts[length]);
  }
  uint16_t sorted[kLengthSymbols];
  const size_t total = starts[kMaxCode + 1];
  for (size_t i = 0; i < symbols; i++) {
    if (lengths[i] != 0) sorted[starts[lengths[i]]++] = static_cast<uint16_t>(i);
  }

  uint32_t code = 0;
  unsigned length = 0;
  size_t used = size;
  uint32_t* below = nullptr;
  unsigned below_bits = 0;
  uint32_t below_prefix = UINT32_MAX;
  for (size_t i = 0; i < total; i++) {
    const uint16_t symbol = sorted[i];
    code <<= lengths[symbol] - length;
    length = lengths[symbol];
    const uint32_t reversed = reverse(code++, length);
    if (length <= table_bits) {
      const uint32_t entry = entry_of(meanings[symbol], length);
      for (size_t at = reversed; at < size; at += size_t{1} << length) table[at] = entry;
      continue;
    }
    const uint32_t prefix = reversed & (static_cast<uint32_t>(size) - 1);
    if (prefix != below_prefix) {
      // As many bits as the codes with this beginning need.
      below_bits = length - table_bits;
      int32_t open = 1 << below_bits;
      for (unsigned deeper = length; deeper < longest; deeper++, below_bits++) {
        // All codes of this length that are still to come, as if they began like this one.
        const int32_t coming = static_cast<int32_t>(deeper == length ? starts[length] - i : counts[deeper]);
        open -= coming;
        if (open <= 0) break;
        open <<= 1;
      }
      below = table + used;
      below_prefix = prefix;
      used += size_t{1} << below_bits;
      if (used > room) return false;
      table[prefix] = kSpecial | kSubtable | static_cast<uint32_t>(below - table) << 16 | below_bits << 8 | table_bits;
    }
    const unsigned rest = length - table_bits;
    const uint32_t entry = entry_of(meanings[symbol], rest);
    for (size_t at = reversed >> table_bits; at < size_t{1} << below_bits; at += size_t{1} << rest) below[at] = entry;
  }
  return true;
}

uint64_t load(const uint8_t* from) {
  uint64_t word;
  memcpy(&word, from, 8);
  return word;
}

void copy_word(uint8_t* to, const uint8_t* from) { memcpy(to, from, 8); }

uint64_t low_bits(uint64_t bits, unsigned count) { return bits & ((uint64_t{1} << count) - 1); }

// Base and extra bits of a length or a distance; `bits` begin with the code.
uint32_t value_of(uint32_t entry, uint64_t bits) {
  return (entry >> 16) + static_cast<uint32_t>(low_bits(bits, entry & 0xff) >> (entry >> 8 & 0xf));
}

}  // namespace

bool Inflater::allocate() {
  if (!memory_.resize(kHistory + kPiece + kSlack)) return false;
  window_ = out_ = memory_.begin();
  restart();
  return true;
}

void Inflater::restart() {
  history_ = out_;
  bits_ = 0;
  count_ = 0;
  state_ = State::kHeader;
  last_block_ = false;
}

// Fills up the bits to 56 or more. False when the input ends or fails.
bool Inflater::refill() {
  if (input_.end() - input_.next < 8 && !input_.ended() && !input_.want(8)) return false;
  if (input_.next - input_.end() > kInputExcess) return false;
  bits_ |= load(input_.next) << count_;
  input_.next += (63 - count_) >> 3;
  count_ |= 56;
  return true;
}

// Bits that need() has made sure of.
uint32_t Inflater::take(unsigned count) {
  const auto value = static_cast<uint32_t>(low_bits(bits_, count));
  bits_ >>= count;
  count_ -= count;
  return value;
}

// True when bits were used that the input does not have.
bool Inflater::overrun() const { return input_.next - (count_ >> 3) > input_.end(); }

Inflater::Step Inflater::run() {
  if (out_ > window_ + kHistory) {
    memmove(window_, out_ - kHistory, kHistory);
    const ptrdiff_t moved = out_ - kHistory - window_;
    out_ -= moved;
    history_ = history_ - window_ > moved ? history_ - moved : window_;
  }
  piece_ = out_;
  for (;;) {
    Step step = Step::kMore;
    switch (state_) {
      case State::kHeader:
        step = block_header();
        break;
      case State::kStored:
        step = stored();
        break;
      case State::kCoded:
        step = coded();
        break;
      case State::kEnd:
        // The bytes that were only looked at go back.
        input_.next -= count_ >> 3;
        bits_ = 0;
        count_ = 0;
        return Step::kEnd;
    }
    if (overrun()) return Step::kCutOff;
    if (step != Step::kMore) return step;
    if (out_ >= window_ + kHistory + kPiece) return Step::kMore;
  }
}

Inflater::Step Inflater::block_header() {
  if (last_block_) {
    state_ = State::kEnd;
    return Step::kMore;
  }
  if (!need(3)) return Step::kCutOff;
  last_block_ = take(1) != 0;
  switch (take(2)) {
    case 0: {
      take(count_ & 7);
      if (!need(32)) return Step::kCutOff;
      stored_ = take(16);
      if (take(16) != (stored_ ^ 0xffff)) return Step::kDamaged;
      input_.next -= count_ >> 3;
      bits_ = 0;
      count_ = 0;
      state_ = State::kStored;
      return Step::kMore;
    }
    case 1:
      fixed_tables();
      state_ = State::kCoded;
      return Step::kMore;
    case 2:
      state_ = State::kCoded;
      return dynamic_tables();
    default:
      return Step::kDamaged;
  }
}

Inflater::Step Inflater::stored() {
  while (stored_ > 0) {
    const auto room = static_cast<size_t>(window_ + kHistory + kPiece - out_);
    if (room == 0) return Step::kMore;
    if (!input_.require(1)) return Step::kCutOff;
    size_t part = stored_ < room ? stored_ : room;
    if (part > input_.available()) part = input_.available();
    memcpy(out_, input_.next, part);
    out_ += part;
    input_.next += part;
    stored_ -= static_cast<uint32_t>(part);
  }
  state_ = State::kHeader;
  return Step::kMore;
}

void Inflater::fixed_tables() {
  if (fixed_) return;
  uint8_t lengths[kLengthSymbols];
  memset(lengths, 8, 144);
  memset(lengths + 144, 9, 112);
  memset(lengths + 256, 7, 24);
  memset(lengths + 280, 8, 8);
  make_table(lengths_, kLengthRoom, kLengthBits, lengths, kLengthMeanings.data(), kLengthSymbols, false);
  memset(lengths, 5, kDistanceSymbols);
  make_table(distances_, kDistanceRoom, kDistanceBits, lengths, kDistanceMeanings.data(), kDistanceSymbols, false);
  fixed_ = true;
}

Inflater::Step Inflater::dynamic_tables() {
  fixed_ = false;
  if (!need(14)) return Step::kCutOff;
  const size_t length_codes = take(5) + 257;
  const size_t distance_codes = take(5) + 1;
  const size_t code_codes = take(4) + 4;
  if (length_codes > 286 || distance_codes > 30) return Step::kDamaged;

  static constexpr uint8_t kOrder[kCodeSymbols] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t code_lengths[kCodeSymbols] = {};
  for (size_t i = 0; i < code_codes; i++) {
    if (!need(3)) return Step::kCutOff;
    code_lengths[kOrder[i]] = static_cast<uint8_t>(take(3));
  }
  constexpr unsigned kBits = 7;
  uint32_t codes[1u << kBits];
  if (!make_table(codes, 1u << kBits, kBits, code_lengths, kCodeMeanings.data(), kCodeSymbols, false)) {
    return Step::kDamaged;
  }

  uint8_t lengths[286 + 30];
  const size_t total = length_codes + distance_codes;
  for (size_t i = 0; i < total;) {
    if (!need(kBits + 7)) return Step::kCutOff;
    const uint32_t entry = codes[bits_ & ((1u << kBits) - 1)];
    take(entry & 0xff);
    const uint32_t symbol = entry >> 16;
    if (symbol < 16) {
      lengths[i++] = static_cast<uint8_t>(symbol);
      continue;
    }
    uint8_t repeated = 0;
    size_t times;
    if (symbol == 16) {
      if (i == 0) return Step::kDamaged;
      repeated = lengths[i - 1];
      times = 3 + take(2);
    } else if (symbol == 17) {
      times = 3 + take(3);
    } else {
      times = 11 + take(7);
    }
    if (times > total - i) return Step::kDamaged;
    memset(lengths + i, repeated, times);
    i += times;
  }
  // A block without a code for its end is malformed.
  if (lengths[256] == 0) return Step::kDamaged;
  if (!make_table(lengths_, kLengthRoom, kLengthBits, lengths, kLengthMeanings.data(), length_codes, true) ||
      !make_table(distances_, kDistanceRoom, kDistanceBits, lengths + length_codes, kDistanceMeanings.data(),
                  distance_codes, true)) {
    return Step::kDamaged;
  }
  return Step::kMore;
}

// The inner loop. What it needs is kept in local variables; within a round nothing is checked but what the data itself
// may get wrong, since there is always enough input to read (the padding, in the end) and room to write.
Inflater::Step Inflater::coded() {
  uint8_t* out = out_;
  uint8_t* const out_limit = window_ + kHistory + kPiece;
  const uint8_t* const history = history_;
  const uint8_t* in = input_.next;
  uint64_t bits = bits_;
  unsigned count = count_;
  const auto refill_bits = [&] {
    bits |= load(in) << count;
    in += (63 - count) >> 3;
    count |= 56;
  };
  const auto consume = [&](uint32_t entry) {
    bits >>= entry & 0xff;
    count -= entry & 0xff;
  };
  constexpr uint32_t kLengthMask = (1u << kLengthBits) - 1, kDistanceMask = (1u << kDistanceBits) - 1;

  Step step = Step::kMore;
  bool block_ended = false;
  while (out < out_limit) {
    const uint8_t* in_limit = input_.end() - kInputMargin;
    if (in > in_limit) {
      input_.next = in;
      if (!input_.ended() && !input_.want(kInputMargin)) {
        step = Step::kCutOff;
        break;
      }
      in = input_.next;
      in_limit = input_.ended() ? input_.end() + kInputExcess : input_.end() - kInputMargin;
      if (in > in_limit) {
        step = Step::kCutOff;
        break;
      }
    }

    refill_bits();
    uint32_t entry = lengths_[bits & kLengthMask];
    do {
      if (entry & kLiteral) {
        // Three codes of the table's width leave enough of 56 bits to look up one more.
        consume(entry);
        *out++ = static_cast<uint8_t>(entry >> 16);
        entry = lengths_[bits & kLengthMask];
        if (entry & kLiteral) {
          consume(entry);
          *out++ = static_cast<uint8_t>(entry >> 16);
          entry = lengths_[bits & kLengthMask];
          if (entry & kLiteral) {
            consume(entry);
            *out++ = static_cast<uint8_t>(entry >> 16);
            refill_bits();
            entry = lengths_[bits & kLengthMask];
            continue;
          }
        }
        refill_bits();
      }
      // At least 56 bits: a length and a distance take up to 15 + 5 + 15 + 13.
      uint64_t coded = bits;
      consume(entry);
      if (entry & kSpecial) {
        if (entry & kSubtable) {
          entry = lengths_[(entry >> 16) + low_bits(bits, entry >> 8 & 0xf)];
          coded = bits;
          consume(entry);
          if (entry & kLiteral) {
            *out++ = static_cast<uint8_t>(entry >> 16);
            refill_bits();
            entry = lengths_[bits & kLengthMask];
            continue;
          }
        }
        if (entry & kSpecial) {
          block_ended = (entry & kBlockEnd) != 0;
          if (!block_ended) step = Step::kDamaged;
          break;
        }
      }
      const uint32_t length = value_of(entry, coded);

      entry = distances_[bits & kDistanceMask];
      if (entry & kSpecial) {
        consume(entry);
        if (entry & kSubtable) entry = distances_[(entry >> 16) + low_bits(bits, entry >> 8 & 0xf)];
        if (entry & kSpecial) {
          step = Step::kDamaged;
          break;
        }
      }
      const uint32_t distance = value_of(entry, bits);
      consume(entry);
      if (distance > static_cast<size_t>(out - history)) {
        step = Step::kDamaged;
        break;
      }
      // The next symbol is looked up while the bytes are being copied.
      refill_bits();
      entry = lengths_[bits & kLengthMask];

      const uint8_t* from = out - distance;
      uint8_t* const end = out + length;
      if (distance >= 8) {
        copy_word(out, from);
        copy_word(out + 8, from + 8);
        copy_word(out + 16, from + 16);
        for (uint8_t* to = out + 24; to < end; to += 8) copy_word(to, to - distance);
      } else if (distance == 1) {
        memset(out, *from, length);
      } else {
        // Each word repeats what is at least one period of it.
        for (uint8_t* to = out; to < end; to += distance, from += distance) copy_word(to, from);
      }
      out = end;
    } while (in <= in_limit && out < out_limit);
    if (block_ended || step != Step::kMore) break;
  }

  out_ = out;
  input_.next = in;
  bits_ = bits;
  count_ = count;
  if (block_ended) state_ = State::kHeader;
  return step;
}

}  // namespace boxctl::codec
