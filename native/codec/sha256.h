// SHA-256 (FIPS 180-4), by the processor's own instructions where it has them: x86's SHA extensions, arm64's crypto
// extension. The digest of an archive is computed while it is read, so its speed is the import's.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl::codec {

// Of nothing.
inline constexpr char kEmptySha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

class Sha256 {
 public:
  static constexpr size_t kSize = 32;
  static constexpr size_t kHexSize = 2 * kSize + 1;

  // `portable`: leave the processor's instructions aside (for the tests).
  explicit Sha256(bool portable = false);
  void update(const uint8_t* data, size_t size);
  // Ends the message, which is not to be updated afterwards.
  void finish(uint8_t (&digest)[kSize]);
  // The same as lower-case hex digits and a NUL.
  void finish(char (&hex)[kHexSize]);

 private:
  using Blocks = void (*)(uint32_t* state, const uint8_t* data, size_t blocks);
  Blocks blocks_;
  uint32_t state_[8];
  uint64_t size_ = 0;
  size_t held_ = 0;
  uint8_t block_[64];
};

}  // namespace boxctl::codec
