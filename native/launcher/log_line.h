// A piece of a stream as a line of JSON, in the words of Docker's json-file:
//   {"log":"text\n","stream":"stdout","time":"2026-01-31T12:34:56.123456789Z"}
// A piece ends with a line feed, or where its line goes on in the stream's next piece. What is no UTF-8 is in
// `log_base64` in place of `log`. So the pieces of a stream, one after the other, are exactly its bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

enum class Stream : uint32_t { kOut = 1, kErr = 2 };

// RFC 3339 with nanoseconds, without a NUL.
struct TimeText {
  char text[30];
};
TimeText time_text(uint64_t ns_since_1970);

// The most bytes of a stream in one piece.
inline constexpr size_t kPiece = 16384;
// Room enough for a piece of so many bytes: each may become six (\u0000).
constexpr size_t most_encoded(size_t bytes) { return 6 * bytes + 128; }

struct Encoded {
  size_t taken = 0;    // of the stream's bytes
  size_t written = 0;  // of `out`
  bool whole = false;  // the piece has its line feed, or is as long as a piece can be
};

// How many of the bytes there are without a UTF-8 character that is cut off at their end.
size_t whole_characters(const char* bytes, size_t size);

// Encodes the first piece of `bytes`. `out` has room for most_encoded(min(size, kPiece)). A UTF-8 character that is cut
// off at the end of `bytes` is left for the next piece, unless `final`.
Encoded encode_piece(const char* bytes, size_t size, Stream stream, const TimeText& time, bool final, char* out);

// The bytes of the stream that an encoded line stands for.
size_t decoded_size(const char* line, size_t size);

}  // namespace boxctl
