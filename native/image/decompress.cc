#include "decompress.h"

#include <errno.h>
#include <string.h>

#include <new>

#include "../codec/codec.h"
#include "../codec/input.h"

namespace boxctl::image {
namespace {

constexpr char kTooLittleMemory[] = "there is not enough memory to decompress the archive";

}  // namespace

Compression detect(const uint8_t* start, size_t size) {
  const auto starts = [&](const char* magic, size_t length) {
    return size >= length && memcmp(start, magic, length) == 0;
  };
  if (starts("\x1f\x8b\x08", 3)) return Compression::kGzip;
  static constexpr char kXz[] = {'\xfd', '7', 'z', 'X', 'Z', 0};
  if (starts(kXz, sizeof kXz)) return Compression::kXz;
  if (starts("\x28\xb5\x2f\xfd", 4)) return Compression::kZstd;
  // A skippable frame, as pzstd writes one first.
  if (size >= 4 && (start[0] & 0xf0) == 0x50 && memcmp(start + 1, "\x2a\x4d\x18", 3) == 0) return Compression::kZstd;
  // The size of its blocks, then the mark of the first block or, when there is none, of the end.
  if (starts("BZh", 3) && size >= 6 && start[3] >= '1' && start[3] <= '9' &&
      (memcmp(start + 4, "\x31\x41", 2) == 0 || memcmp(start + 4, "\x17\x72", 2) == 0)) {
    return Compression::kBzip2;
  }
  return Compression::kNone;
}

const char* name(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return "gzip";
    case Compression::kXz:
      return "xz";
    case Compression::kZstd:
      return "zstd";
    case Compression::kBzip2:
      return "bzip2";
    case Compression::kNone:
      break;
  }
  return "none";
}

Decoder::Decoder(Source source) : input_(new (std::nothrow) codec::Input(source)) {}

Decoder::~Decoder() = default;

// Also sets errno, as read(2) does.
bool Decoder::fail(const Failure& failure) {
  failure_ = failure;
  errno = failure.number == 0 ? EBADMSG : failure.number;
  return false;
}

bool Decoder::open() {
  if (opened_ || failure_) return !failure_;
  opened_ = true;
  if (input_ == nullptr) return fail({kTooLittleMemory, ENOMEM});
  if (!input_->want(kDetectSize)) return fail(input_->failure());
  compression_ = detect(input_->next, input_->available());
  switch (compression_) {
    case Compression::kNone:
      return true;
    case Compression::kGzip:
      codec_ = codec::make_gzip(*input_);
      break;
    case Compression::kXz:
      codec_ = codec::make_xz(*input_);
      break;
    case Compression::kZstd:
      codec_ = codec::make_zstd(*input_);
      break;
    case Compression::kBzip2:
      codec_ = codec::make_bzip2(*input_);
      break;
  }
  return codec_ != nullptr || fail({kTooLittleMemory, ENOMEM});
}

ssize_t Decoder::read(void* buffer, size_t size) {
  if (failure_) {
    fail(failure_);
    return -1;
  }
  if (!open()) return -1;
  if (ended_ || size == 0) return 0;
  if (codec_ != nullptr) {
    const ssize_t got = codec_->read(static_cast<uint8_t*>(buffer), size);
    if (got < 0) fail(codec_->failure());
    ended_ = got == 0;
    return got;
  }
  const size_t ready = input_->available();
  if (ready > 0) {
    const size_t part = ready < size ? ready : size;
    memcpy(buffer, input_->next, part);
    input_->next += part;
    return static_cast<ssize_t>(part);
  }
  const ssize_t got = input_->read_through(buffer, size);
  if (got < 0) fail(input_->failure());
  return got;
}

ssize_t Decoder::read_source(void* context, void* buffer, size_t size) {
  return static_cast<Decoder*>(context)->read(buffer, size);
}

}  // namespace boxctl::image
