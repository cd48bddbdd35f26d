// One format of compression. A file each: gzip.cc, zstd.cc, xz.cc, bzip2.cc.
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "input.h"

namespace boxctl::codec {

// Largest window and dictionary, which an archive chooses and the reader has to hold: what zstd(1) allows by default,
// and what xz(1) can write. The memory is only touched, and of a dictionary only asked for, as far as the content goes.
inline constexpr size_t kMaxWindow = size_t{128} << 20;
inline constexpr size_t kMaxDictionary = size_t{1536} << 20;

class Codec {
 public:
  explicit Codec(Input& input) : input_(input) {}
  virtual ~Codec() = default;
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  // As read(2), with a size that is not 0. After -1 or 0 it is not called again.
  virtual ssize_t read(uint8_t* to, size_t size) = 0;

  const char* error() const { return error_; }
  int error_number() const { return errno_; }

 protected:
  bool fail(const char* why, int number = 0) {
    error_ = why;
    errno_ = number;
    return false;
  }
  bool out_of_memory() { return fail("there is not enough memory to decompress the archive", ENOMEM); }
  // After Input::require() has said false: what the format calls its end, unless the source is at fault.
  bool cut_off(const char* too_early) {
    const int number = input_.error_number();
    return number != 0 ? fail("the archive cannot be read", number) : fail(too_early);
  }

  Input& input_;

 private:
  const char* error_ = nullptr;
  int errno_ = 0;
};

// Each returns nullptr when memory has run out.
Codec* make_gzip(Input& input);
Codec* make_zstd(Input& input);
Codec* make_xz(Input& input);
Codec* make_bzip2(Input& input);

}  // namespace boxctl::codec
