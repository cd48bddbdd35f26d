// Decompresses an archive as hostile input: recognised by content, in one pass, with bounded memory, errors as values.
//
//   format   memory, beside 128 KiB of input             what is checked
//   gzip     0.5 MB                                      CRC-32 and length of each member
//   zstd     at most 128 MiB of window and 0.5 MB        XXH64 of each frame that carries one
//   xz       at most 1.5 GiB of dictionary and 1 MB      CRC-32, CRC-64 or SHA-256 of each block, and the index
//   bzip2    4 MB                                        CRC-32 of each block and of each stream
//
// A dictionary takes no more than the content has bytes. An archive that needs a larger window or dictionary is
// refused. Streams that follow each other are one content, as for the command-line tools; what gzip(1) and zstd(1)
// would call trailing garbage is told apart in the codecs.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memory>

#include "../shared/failure.h"
#include "source.h"

namespace boxctl::codec {
class Codec;
class Input;
}  // namespace boxctl::codec

namespace boxctl::image {

enum class Compression { kNone, kGzip, kXz, kZstd, kBzip2 };

// As many first bytes as detect() wants to see.
inline constexpr size_t kDetectSize = 6;

Compression detect(const uint8_t* start, size_t size);

// "gzip", "xz", … and "none".
const char* name(Compression compression);

// Reads the content of a source. What it has given out is only known to be whole once it has returned 0: checksums
// stand at the end.
class Decoder {
 public:
  explicit Decoder(Source source);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Looks at the first bytes of the source, once. False on failure, as with read().
  bool open();
  // After open().
  Compression compression() const { return compression_; }

  // read(2)'s contract: 0 at the end, which is the end of the source too; -1 on failure, with errno.
  ssize_t read(void* buffer, size_t size);

  const Failure& failure() const { return failure_; }

  // This decoder as the source of the next stage.
  Source source() { return {read_source, this}; }

 private:
  static ssize_t read_source(void* context, void* buffer, size_t size);
  bool fail(const Failure& failure);

  const std::unique_ptr<codec::Input> input_;
  std::unique_ptr<codec::Codec> codec_;  // null when the bytes are passed through
  Compression compression_ = Compression::kNone;
  bool opened_ = false;
  bool ended_ = false;
  Failure failure_;
};

}  // namespace boxctl::image
