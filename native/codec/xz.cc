// The .xz format (version 1.2.1 of its description): streams of blocks, each with its check, and an index that repeats
// their sizes. What xz(1) does to the bytes before it compresses them is undone (filters.h).
#include <string.h>

#include "codec.h"
#include "crc32.h"
#include "crc64.h"
#include "filters.h"
#include "lzma2.h"
#include "sha256.h"

namespace boxctl::codec {

namespace {

constexpr char kTooEarly[] = "the xz data ends too early";
constexpr char kDamaged[] = "the xz data is damaged";
constexpr uint8_t kMagic[6] = {0xfd, '7', 'z', 'X', 'Z', 0};
// Numbers of the format have 63 bits.
constexpr uint64_t kUnknown = UINT64_MAX;

// A fuzzer does not come up with checksums, so headers are taken without them in its build.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr bool kHeadersChecked = false;
#else
constexpr bool kHeadersChecked = true;
#endif

uint32_t load32(const uint8_t* from) {
  uint32_t value;
  memcpy(&value, from, 4);
  return value;
}

bool header_matches(const uint8_t* header, size_t size, const uint8_t* stated) {
  return !kHeadersChecked || crc32(0, header, size) == load32(stated);
}

// The sizes of the blocks, in order, without keeping them: what the blocks had and what the index says must be equal.
struct Sizes {
  uint64_t count = 0, packed = 0, plain = 0, hash = 0;

  void add(uint64_t block_packed, uint64_t block_plain) {
    const uint64_t both[2] = {block_packed, block_plain};
    count++;
    packed += block_packed;
    plain += block_plain;
    hash = crc64(hash, both, sizeof both);
  }
  bool operator==(const Sizes&) const = default;
};

class Xz : public Codec {
 public:
  explicit Xz(Input& input) : Codec(input), data_(input) {}

  ssize_t read(uint8_t* to, size_t size) override {
    while (ready_ == end_) {
      if (!step()) return -1;
      if (state_ == State::kEnd) return 0;
    }
    const auto left = static_cast<size_t>(end_ - ready_);
    const size_t part = left < size ? left : size;
    memcpy(to, ready_, part);
    ready_ += part;
    return static_cast<ssize_t>(part);
  }

 private:
  enum class State { kStream, kBlock, kData, kNextStream, kEnd };
  enum Check : uint8_t { kNone = 0, kCrc32 = 1, kCrc64 = 4, kSha256 = 10 };

  bool damaged() { return fail(kDamaged); }
  bool require(size_t count) { return input_.require(count) || cut_off(kTooEarly); }

  bool step() {
    switch (state_) {
      case State::kStream:
        return stream_header();
      case State::kBlock:
        return block_header();
      case State::kData:
        return data();
      case State::kNextStream:
        return next_stream();
      case State::kEnd:
        break;
    }
    return true;
  }

  bool stream_header() {
    if (!require(12)) return false;
    const uint8_t* const header = input_.next;
    if (memcmp(header, kMagic, sizeof kMagic) != 0) return fail("the xz data is damaged: something else follows");
    if (!header_matches(header + 6, 2, header + 8)) return damaged();
    if (header[6] != 0 || (header[7] & 0xf0) != 0) return fail("the xz data uses a feature that is not known");
    check_ = header[7];
    if (check_ != kNone && check_ != kCrc32 && check_ != kCrc64 && check_ != kSha256) {
      return fail("the xz data is checked in a way that is not known");
    }
    input_.next += 12;
    blocks_ = {};
    state_ = State::kBlock;
    return true;
  }

  // A number of up to 63 bits, seven at a time, the lowest first. Moves `from`.
  static bool number(const uint8_t*& from, const uint8_t* end, uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 63 && from < end; shift += 7) {
      const uint8_t byte = *from++;
      value |= uint64_t{byte & 0x7fu} << shift;
      // The shortest form only.
      if (byte < 0x80) return byte != 0 || shift == 0;
    }
    return false;
  }

  bool block_header() {
    if (!require(1)) return false;
    if (*input_.next == 0) return index();
    const size_t size = (size_t{*input_.next} + 1) * 4;
    if (!require(size)) return false;
    const uint8_t* const header = input_.next;
    const uint8_t* const end = header + size - 4;
    if (!header_matches(header, size - 4, end)) return damaged();
    const uint8_t flags = header[1];
    if (flags & 0x3c) return fail("the xz data uses a feature that is not known");
    const uint8_t* at = header + 2;
    stated_packed_ = stated_plain_ = kUnknown;
    if (flags & 0x40 && (!number(at, end, stated_packed_) || stated_packed_ == 0)) return damaged();
    if (flags & 0x80 && !number(at, end, stated_plain_)) return damaged();
    // The last filter is the compression. Those before it are undone after it.
    filters_.clear();
    uint64_t filter = 0, properties = 0;
    for (unsigned left = flags & 3;; left--) {
      if (!number(at, end, filter) || !number(at, end, properties)) return damaged();
      if (properties > static_cast<uint64_t>(end - at)) return damaged();
      if (left == 0) break;
      if (const char* why = filters_.add(filter, at, static_cast<size_t>(properties)); why != nullptr) return fail(why);
      at += properties;
    }
    if (filter != 0x21) return fail("the xz data uses a filter that is not known");
    if (properties != 1) return damaged();
    const uint8_t exponent = *at++;
    if (exponent > 40) return damaged();
    for (; at < end; at++) {
      if (*at != 0) return damaged();
    }
    const uint64_t dictionary = exponent == 40 ? UINT32_MAX : uint64_t{2u | (exponent & 1u)} << (exponent / 2 + 11);
    // No match reaches farther back than the block has bytes.
    const uint64_t needed = stated_plain_ < dictionary ? stated_plain_ : dictionary;
    if (!data_.restart(static_cast<size_t>(needed), kMaxDictionary)) return out_of_memory();
    input_.next += size;
    header_size_ = size;
    plain_ = 0;
    crc32_ = 0;
    crc64_ = 0;
    sha256_ = Sha256();
    state_ = State::kData;
    return true;
  }

  bool data() {
    const Lzma2::Step step = data_.run();
    switch (step) {
      case Lzma2::Step::kCutOff:
        return cut_off(kTooEarly);
      case Lzma2::Step::kDamaged:
        return damaged();
      case Lzma2::Step::kNoMemory:
        return out_of_memory();
      case Lzma2::Step::kTooFar:
        return fail("the xz data needs a dictionary of more than 1536 MiB");
      case Lzma2::Step::kEnd:
        if (!filters_.any()) return block_end();
        break;
      case Lzma2::Step::kMore:
        break;
    }
    const bool last = step == Lzma2::Step::kEnd;
    ready_ = data_.begin();
    end_ = data_.end();
    if (filters_.any()) {
      if (!filters_.feed(ready_, last ? 0 : static_cast<size_t>(end_ - ready_), last)) return out_of_memory();
      ready_ = filters_.begin();
      end_ = filters_.end();
      if (last && ready_ == end_) return block_end();
    }
    const auto size = static_cast<size_t>(end_ - ready_);
    plain_ += size;
    if (plain_ > stated_plain_ || data_.consumed() > stated_packed_) return damaged();
    if (check_ == kCrc32) crc32_ = crc32(crc32_, ready_, size);
    if (check_ == kCrc64) crc64_ = crc64(crc64_, ready_, size);
    if (check_ == kSha256) sha256_.update(ready_, size);
    return true;
  }

  bool block_end() {
    const uint64_t packed = data_.consumed();
    if ((stated_packed_ != kUnknown && packed != stated_packed_) ||
        (stated_plain_ != kUnknown && plain_ != stated_plain_))
      return damaged();
    const size_t padding = static_cast<size_t>(-packed & 3);
    const size_t size = check_size();
    if (!require(padding + size)) return false;
    for (size_t i = 0; i < padding; i++) {
      if (*input_.next++ != 0) return damaged();
    }
    if (!check_matches(input_.next)) {
      return fail("the xz data is damaged: its checksum does not match");
    }
    input_.next += size;
    blocks_.add(header_size_ + packed + size, plain_);
    state_ = State::kBlock;
    return true;
  }

  size_t check_size() const {
    if (check_ == kCrc32) return sizeof crc32_;
    if (check_ == kCrc64) return sizeof crc64_;
    return check_ == kSha256 ? Sha256::kSize : 0;
  }

  bool check_matches(const uint8_t* stated) {
    if (check_ == kCrc32) return memcmp(stated, &crc32_, sizeof crc32_) == 0;
    if (check_ == kCrc64) return memcmp(stated, &crc64_, sizeof crc64_) == 0;
    if (check_ == kNone) return true;
    uint8_t digest[Sha256::kSize];
    sha256_.finish(digest);
    return memcmp(stated, digest, sizeof digest) == 0;
  }

  // Reads a number of the index, which may be as long as there are blocks.
  bool index_number(uint64_t& value, uint32_t& crc, uint64_t& length) {
    if (!input_.want(9)) return cut_off(kTooEarly);
    const uint8_t* at = input_.next;
    if (!number(at, input_.end(), value)) return at == input_.end() ? cut_off(kTooEarly) : damaged();
    const auto size = static_cast<size_t>(at - input_.next);
    crc = crc32(crc, input_.next, size);
    length += size;
    input_.next = at;
    return true;
  }

  bool index() {
    uint32_t crc = crc32(0, input_.next++, 1);
    uint64_t length = 1, count = 0;
    if (!index_number(count, crc, length)) return false;
    if (count != blocks_.count) return damaged();
    Sizes sizes;
    while (sizes.count < count) {
      uint64_t packed = 0, plain = 0;
      if (!index_number(packed, crc, length) || !index_number(plain, crc, length)) return false;
      sizes.add(packed, plain);
    }
    if (!(sizes == blocks_)) return damaged();
    const size_t padding = static_cast<size_t>(-length & 3);
    if (!require(padding + 4 + 12)) return false;
    for (size_t i = 0; i < padding; i++) {
      if (input_.next[i] != 0) return damaged();
    }
    crc = crc32(crc, input_.next, padding);
    input_.next += padding;
    if (kHeadersChecked && load32(input_.next) != crc)
      return fail("the xz data is damaged: its checksum does not match");
    input_.next += 4;

    // The stream's footer: how long the index was, and the header's flags again.
    const uint8_t* const footer = input_.next;
    if (memcmp(footer + 10, "YZ", 2) != 0 || !header_matches(footer + 4, 6, footer)) return damaged();
    if ((uint64_t{load32(footer + 4)} + 1) * 4 != length + padding + 4) return damaged();
    if (footer[8] != 0 || footer[9] != check_) return damaged();
    input_.next += 12;
    state_ = State::kNextStream;
    return true;
  }

  // Zeroes in groups of four may lie between streams, and behind the last.
  bool next_stream() {
    for (;;) {
      if (!input_.want(4)) return cut_off(kTooEarly);
      if (input_.available() == 0) {
        state_ = State::kEnd;
        return true;
      }
      if (*input_.next != 0) {
        state_ = State::kStream;
        return true;
      }
      if (!require(4)) return false;
      if (load32(input_.next) != 0) return damaged();
      input_.next += 4;
    }
  }

  Lzma2 data_;
  Filters filters_;
  State state_ = State::kStream;
  const uint8_t* ready_ = nullptr;  // decoded, not given out
  const uint8_t* end_ = nullptr;
  uint8_t check_ = kNone;
  Sizes blocks_;
  size_t header_size_ = 0;
  uint64_t stated_packed_ = kUnknown, stated_plain_ = kUnknown;
  uint64_t plain_ = 0;
  uint32_t crc32_ = 0;
  uint64_t crc64_ = 0;
  Sha256 sha256_;
};

}  // namespace

std::unique_ptr<Codec> make_xz(Input& input) { return std::unique_ptr<Codec>(new (std::nothrow) Xz(input)); }

}  // namespace boxctl::codec
