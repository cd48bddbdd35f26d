// One format of compression. A file each: gzip.cc, zstd.cc, xz.cc, bzip2.cc.
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memory>
#include <new>
#include <utility>

#include "../shared/failure.h"
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

  const Failure& failure() const { return failure_; }

 protected:
  bool fail(const char* why, int number = 0) {
    failure_ = {why, number};
    return false;
  }
  bool out_of_memory() { return fail("there is not enough memory to decompress the archive", ENOMEM); }
  // After Input::require() has said false: what the format calls its end, unless the source is at fault.
  bool cut_off(const char* too_early) {
    failure_ = input_.failure() ? input_.failure() : Failure{too_early};
    return false;
  }

  Input& input_;

 private:
  Failure failure_;
};

// Each returns null when memory has run out.
std::unique_ptr<Codec> make_gzip(Input& input);
std::unique_ptr<Codec> make_zstd(Input& input);
std::unique_ptr<Codec> make_xz(Input& input);
std::unique_ptr<Codec> make_bzip2(Input& input);

// A codec that has memory to ask for before it can be used.
template <typename T>
std::unique_ptr<Codec> make_codec(Input& input) {
  std::unique_ptr<T> codec(new (std::nothrow) T(input));
  return codec != nullptr && codec->allocate() ? std::move(codec) : nullptr;
}

}  // namespace boxctl::codec
