// bzip2: streams of blocks, each of which is decoded as a whole and then given out. Behind the last stream, as bzip2(1)
// tolerates it, anything may follow that is no stream.
#include <string.h>

#include <array>

#include "codec.h"

namespace boxctl::codec {

namespace {

constexpr char kTooEarly[] = "the bzip2 data ends too early";
constexpr char kDamaged[] = "the bzip2 data is damaged";
constexpr char kChecksum[] = "the bzip2 data is damaged: its checksum does not match";
constexpr uint64_t kBlockMark = 0x314159265359, kEndMark = 0x177245385090;
constexpr size_t kMaxBlock = 900'000;
constexpr unsigned kMaxCode = 20, kTableBits = 10;
constexpr size_t kMaxSymbols = 258, kMaxTables = 6, kMaxSelectors = 18'002, kGroup = 50;
// The digits of run lengths are the symbols 0 and 1.
constexpr uint16_t kRunB = 1;
// So far behind the end may a refill stand that has taken only zeroes which are not there.
constexpr ptrdiff_t kInputExcess = 8;

// CRC-32 with the highest bit first.
constexpr auto kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i << 24;
    for (int bit = 0; bit < 8; bit++) crc = crc << 1 ^ (crc >> 31 != 0 ? 0x04c11db7u : 0);
    table[i] = crc;
  }
  return table;
}();

// A prefix code: what the first bits say, and for the longer codes the first and the last of each length.
struct Code {
  bool usable;
  uint16_t fast[1 << kTableBits];  // symbol << 5 | length; 0 for a longer code
  uint32_t first[kMaxCode + 1], count[kMaxCode + 1], offset[kMaxCode + 1];
  uint16_t symbols[kMaxSymbols];

  void make(const uint8_t* lengths, size_t size) {
    memset(fast, 0, sizeof fast);
    memset(count, 0, sizeof count);
    for (size_t i = 0; i < size; i++) count[lengths[i]]++;
    uint32_t code = 0, before = 0;
    usable = true;
    for (unsigned length = 1; length <= kMaxCode; length++) {
      code <<= 1;
      first[length] = code;
      offset[length] = before;
      code += count[length];
      before += count[length];
      // More codes than there can be; no matter when nothing is written with them.
      if (code > 1u << length) usable = false;
    }
    if (!usable) return;
    uint32_t next[kMaxCode + 1];
    memcpy(next, offset, sizeof next);
    for (size_t i = 0; i < size; i++) {
      const unsigned length = lengths[i];
      const uint32_t place = next[length]++;
      symbols[place] = static_cast<uint16_t>(i);
      if (length > kTableBits) continue;
      const uint32_t start = (first[length] + place - offset[length]) << (kTableBits - length);
      for (uint32_t at = 0; at < 1u << (kTableBits - length); at++) {
        fast[start + at] = static_cast<uint16_t>(i << 5 | length);
      }
    }
  }
};

class Bzip2 : public Codec {
 public:
  using Codec::Codec;

  bool allocate() {
    if (!memory_.resize(kMaxBlock)) return false;
    links_ = memory_.begin();
    return true;
  }

  ssize_t read(uint8_t* to, size_t size) override {
    for (;;) {
      if (state_ == State::kContent) {
        const size_t got = content(to, size);
        if (got > 0) return static_cast<ssize_t>(got);
        if (!block_end()) return -1;
      } else if (state_ == State::kEnd) {
        return 0;
      } else if (state_ == State::kStream ? !stream_header() : !block()) {
        return -1;
      }
    }
  }

 private:
  enum class State { kStream, kBlock, kContent, kEnd };

  bool damaged() { return overrun() ? cut_off(kTooEarly) : fail(kDamaged); }

  // Bits, the highest first: the next ones stand at the top of `bits_`, and below `count_` there may be more of the
  // same input.
  bool refill() {
    if (input_.end() - input_.next < 8 && !input_.ended() && !input_.want(8)) return cut_off(kTooEarly);
    if (input_.next - input_.end() > kInputExcess) return cut_off(kTooEarly);
    uint64_t word;
    memcpy(&word, input_.next, 8);
    bits_ |= __builtin_bswap64(word) >> count_;
    input_.next += (63 - count_) >> 3;
    count_ |= 56;
    return true;
  }
  bool need(unsigned count) { return count_ >= count || refill(); }
  void drop(unsigned count) {
    bits_ <<= count;
    count_ -= count;
  }
  // From 1 to 48 bits, which need() has made sure of.
  uint64_t take(unsigned count) {
    const uint64_t value = bits_ >> (64 - count);
    drop(count);
    return value;
  }
  bool overrun() const { return input_.next - (count_ >> 3) > input_.end(); }

  bool stream_header() {
    // Streams begin with a byte.
    input_.next -= count_ >> 3;
    bits_ = 0;
    count_ = 0;
    const bool whole = input_.require(4);
    const uint8_t* const header = input_.next;
    if (!whole || memcmp(header, "BZh", 3) != 0 || header[3] < '1' || header[3] > '9') {
      if (first_ || input_.failure() || !input_.drain()) return cut_off(kTooEarly);
      state_ = State::kEnd;
      return true;
    }
    first_ = false;
    block_limit_ = static_cast<size_t>(header[3] - '0') * 100'000;
    input_.next += 4;
    stream_crc_ = 0;
    state_ = State::kBlock;
    return true;
  }

  bool block() {
    if (!need(48)) return false;
    const uint64_t mark = take(48);
    if (!need(32)) return false;
    const auto crc = static_cast<uint32_t>(take(32));
    if (mark == kEndMark) {
      if (overrun()) return cut_off(kTooEarly);
      if (crc != stream_crc_) return fail(kChecksum);
      drop(count_ & 7);
      state_ = State::kStream;
      return true;
    }
    if (mark != kBlockMark) return damaged();
    stated_crc_ = crc;
    stream_crc_ = (stream_crc_ << 1 | stream_crc_ >> 31) ^ crc;

    if (!need(25)) return false;
    if (take(1) != 0) {
      return fail("the bzip2 data is randomised, as only versions before 0.9.5 wrote it, which is not supported");
    }
    const auto origin = static_cast<size_t>(take(24));
    size_t symbols, selectors;
    if (!used_bytes(symbols) || !tables(symbols, selectors) || !values(symbols, selectors)) return false;
    if (overrun()) return cut_off(kTooEarly);
    if (origin >= size_) return damaged();
    link();
    at_ = links_[origin] >> 8;
    left_ = size_;
    run_ = 0;
    repeat_ = 0;
    crc_ = UINT32_MAX;
    state_ = State::kContent;
    return true;
  }

  // The bytes that the block has. The alphabet: two digits of run lengths, all but the first byte, and the end.
  bool used_bytes(size_t& symbols) {
    if (!need(16)) return false;
    const uint64_t groups = take(16);
    size_t used = 0;
    for (unsigned group = 0; group < 16; group++) {
      if ((groups >> (15 - group) & 1) == 0) continue;
      if (!need(16)) return false;
      const uint64_t members = take(16);
      for (unsigned member = 0; member < 16; member++) {
        if (members >> (15 - member) & 1) order_[used++] = static_cast<uint8_t>(group * 16 + member);
      }
    }
    if (used == 0) return damaged();
    symbols = used + 2;
    return true;
  }

  bool tables(size_t symbols, size_t& selectors) {
    if (!need(18)) return false;
    const auto count = static_cast<size_t>(take(3));
    const auto stated = static_cast<size_t>(take(15));
    if (count < 2 || count > kMaxTables || stated == 0) return damaged();
    uint8_t recent[kMaxTables] = {0, 1, 2, 3, 4, 5};
    for (size_t i = 0; i < stated; i++) {
      size_t back = 0;
      for (;;) {
        if (!need(1)) return false;
        if (take(1) == 0) break;
        if (++back >= count) return damaged();
      }
      const uint8_t chosen = recent[back];
      memmove(recent + 1, recent, back);
      recent[0] = chosen;
      // Some programs write more than a block can use.
      if (i < kMaxSelectors) selectors_[i] = chosen;
    }
    selectors = stated < kMaxSelectors ? stated : kMaxSelectors;

    for (size_t table = 0; table < count; table++) {
      uint8_t lengths[kMaxSymbols];
      if (!need(5)) return false;
      auto length = static_cast<unsigned>(take(5));
      for (size_t i = 0; i < symbols; i++) {
        for (;;) {
          if (length < 1 || length > kMaxCode) return damaged();
          if (!need(2)) return false;
          if (take(1) == 0) break;
          length += take(1) == 0 ? 1u : ~0u;
        }
        lengths[i] = static_cast<uint8_t>(length);
      }
      codes_[table].make(lengths, symbols);
    }
    return true;
  }

  bool symbol(const Code& code, uint16_t& value) {
    if (!need(kMaxCode)) return false;
    const uint16_t entry = code.fast[bits_ >> (64 - kTableBits)];
    if (entry != 0) {
      drop(entry & 31);
      value = entry >> 5;
      return true;
    }
    for (unsigned length = kTableBits + 1; length <= kMaxCode; length++) {
      const auto place = static_cast<uint32_t>(bits_ >> (64 - length)) - code.first[length];
      if (place < code.count[length]) {
        drop(length);
        value = code.symbols[code.offset[length] + place];
        return true;
      }
    }
    drop(kMaxCode);
    return damaged();
  }

  // The block's bytes, as the transformation left them: in the low byte of each link.
  bool values(size_t symbols, size_t selectors) {
    const auto end = static_cast<uint16_t>(symbols - 1);
    memset(counts_, 0, sizeof counts_);
    size_ = 0;
    size_t run = 0, digit = 1;
    for (size_t group = 0; group < selectors; group++) {
      const Code& code = codes_[selectors_[group]];
      if (!code.usable) return damaged();
      for (size_t i = 0; i < kGroup; i++) {
        uint16_t value;
        if (!symbol(code, value)) return false;
        if (value <= kRunB) {
          // The length of a run of the byte in front, in digits of 1 and 2.
          run += digit << (value == kRunB ? 1 : 0);
          digit <<= 1;
          if (run > block_limit_) return damaged();
          continue;
        }
        if (run > 0) {
          if (run > block_limit_ - size_) return damaged();
          counts_[order_[0]] += static_cast<uint32_t>(run);
          for (; run > 0; run--) links_[size_++] = order_[0];
          digit = 1;
        }
        if (value == end) return true;
        if (size_ == block_limit_) return damaged();
        const size_t back = value - size_t{1};
        const uint8_t byte = order_[back];
        memmove(order_ + 1, order_, back);
        order_[0] = byte;
        counts_[byte]++;
        links_[size_++] = byte;
      }
    }
    return damaged();
  }

  // Undoes the transformation: the upper bits of a link are where the next byte of the content is.
  void link() {
    uint32_t starts[256], sum = 0;
    for (size_t i = 0; i < 256; i++) {
      starts[i] = sum;
      sum += counts_[i];
    }
    for (size_t i = 0; i < size_; i++) links_[starts[links_[i] & 0xff]++] |= static_cast<uint32_t>(i) << 8;
  }

  // Four equal bytes are followed by the number of further ones.
  size_t content(uint8_t* to, size_t size) {
    uint8_t* const start = to;
    uint8_t* const end = to + size;
    uint32_t at = at_, run = run_, repeat = repeat_, crc = crc_;
    uint8_t last = last_;
    size_t left = left_;
    for (;;) {
      for (; repeat > 0 && to < end; repeat--) {
        *to++ = last;
        crc = crc << 8 ^ kCrcTable[crc >> 24 ^ last];
      }
      if (left == 0 || to == end) break;
      at = links_[at];
      const auto byte = static_cast<uint8_t>(at);
      at >>= 8;
      left--;
      if (run == 4) {
        repeat = byte;
        run = 0;
        continue;
      }
      run = run > 0 && byte == last ? run + 1 : 1;
      last = byte;
      *to++ = byte;
      crc = crc << 8 ^ kCrcTable[crc >> 24 ^ byte];
    }
    at_ = at;
    run_ = run;
    repeat_ = repeat;
    crc_ = crc;
    last_ = last;
    left_ = left;
    return static_cast<size_t>(to - start);
  }

  bool block_end() {
    if (~crc_ != stated_crc_) return fail(kChecksum);
    state_ = State::kBlock;
    return true;
  }

  State state_ = State::kStream;
  bool first_ = true;
  uint64_t bits_ = 0;
  unsigned count_ = 0;
  size_t block_limit_ = 0;
  uint32_t stream_crc_ = 0, stated_crc_ = 0;

  uint8_t order_[256] = {};  // bytes, the most recently used first
  uint32_t counts_[256] = {};
  uint8_t selectors_[kMaxSelectors] = {};
  Code codes_[kMaxTables] = {};
  List<uint32_t> memory_;
  uint32_t* links_ = nullptr;
  size_t size_ = 0;  // bytes in the block

  uint32_t at_ = 0, run_ = 0, repeat_ = 0, crc_ = 0;
  uint8_t last_ = 0;
  size_t left_ = 0;
};

}  // namespace

std::unique_ptr<Codec> make_bzip2(Input& input) { return make_codec<Bzip2>(input); }

}  // namespace boxctl::codec
