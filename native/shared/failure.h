// Why reading, writing or decoding an image failed.
#pragma once

namespace boxctl {

// A function of native/image or native/codec that fails returns a Failure, or, where an object does the work in many
// steps (a reader, a decoder, an unpacker), false, and the object's failure() is the first one.
struct [[nodiscard]] Failure {
  const char* sentence = nullptr;  // without a full stop; null: nothing has failed
  int number = 0;                  // an errno; 0: the input is bad, and no call has failed

  explicit operator bool() const { return sentence != nullptr; }
};

inline constexpr char kNoMemory[] = "there is no memory left";

}  // namespace boxctl
