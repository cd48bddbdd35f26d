// gzip (RFC 1952): members one after the other, then, as gzip(1) tolerates it, zeroes or anything that is no member.
#include <string.h>

#include "codec.h"
#include "crc32.h"
#include "inflate.h"

namespace boxctl::codec {

namespace {

constexpr char kTooEarly[] = "the gzip data ends too early";

class Gzip : public Codec {
 public:
  using Codec::Codec;

  bool allocate() {
    if (!inflater_.allocate()) return false;
    ready_ = inflater_.end();
    return true;
  }

  ssize_t read(uint8_t* to, size_t size) override {
    while (ready_ == inflater_.end()) {
      if (!(in_member_ ? body() : header())) return failure() ? -1 : 0;
    }
    const auto left = static_cast<size_t>(inflater_.end() - ready_);
    const size_t part = left < size ? left : size;
    memcpy(to, ready_, part);
    ready_ += part;
    return static_cast<ssize_t>(part);
  }

 private:
  enum : uint8_t { kHeaderCrc = 2, kExtra = 4, kName = 8, kComment = 16, kReserved = 0xe0 };

  // The members have ended. The rest is read, so that the writer of a pipe gets no SIGPIPE.
  bool end() { return input_.drain() ? false : cut_off(kTooEarly); }

  uint8_t take() { return *input_.next++; }

  bool skip_text() {
    do {
      if (!input_.require(1)) return cut_off(kTooEarly);
    } while (take() != 0);
    return true;
  }

  // False at the end as well.
  bool header() {
    if (!input_.require(2) || input_.next[0] != 0x1f || input_.next[1] != 0x8b) {
      return !first_ && !input_.failure() ? end() : cut_off(kTooEarly);
    }
    first_ = false;
    if (!input_.require(10)) return cut_off(kTooEarly);
    const uint8_t method = input_.next[2], flags = input_.next[3];
    if (method != 8) return fail("the gzip data uses a method of compression that is not known");
    if (flags & kReserved) return fail("the gzip data is damaged: its header has flags that are not known");
    input_.next += 10;
    if (flags & kExtra) {
      if (!input_.require(2)) return cut_off(kTooEarly);
      size_t length = take();
      length |= static_cast<size_t>(take()) << 8;
      if (!input_.require(length)) return cut_off(kTooEarly);
      input_.next += length;
    }
    if (flags & kName && !skip_text()) return false;
    if (flags & kComment && !skip_text()) return false;
    if (flags & kHeaderCrc) {
      // gzip(1) wrote something else there once, and does not look at it either.
      if (!input_.require(2)) return cut_off(kTooEarly);
      input_.next += 2;
    }
    inflater_.restart();
    crc_ = 0;
    size_ = 0;
    in_member_ = true;
    return true;
  }

  bool body() {
    const Inflater::Step step = inflater_.run();
    switch (step) {
      case Inflater::Step::kCutOff:
        return cut_off(kTooEarly);
      case Inflater::Step::kDamaged:
        return fail("the gzip data is damaged");
      default:
        break;
    }
    ready_ = inflater_.begin();
    const auto size = static_cast<size_t>(inflater_.end() - ready_);
    crc_ = crc32(crc_, ready_, size);
    size_ += static_cast<uint32_t>(size);
    return step != Inflater::Step::kEnd || trailer();
  }

  bool trailer() {
    if (!input_.require(8)) return cut_off(kTooEarly);
    uint32_t stated[2];
    memcpy(stated, input_.next, 8);
    input_.next += 8;
    if (stated[0] != crc_) return fail("the gzip data is damaged: its checksum does not match");
    if (stated[1] != size_) return fail("the gzip data is damaged: its length does not match");
    in_member_ = false;
    return true;
  }

  Inflater inflater_{input_};
  const uint8_t* ready_ = nullptr;  // decoded, not given out
  uint32_t crc_ = 0;
  uint32_t size_ = 0;  // modulo 2^32
  bool in_member_ = false;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<Codec> make_gzip(Input& input) { return make_codec<Gzip>(input); }

}  // namespace boxctl::codec
