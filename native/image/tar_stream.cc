// The bytes of a tar archive, taken one after the other from a source that reads or lends them.
#include <errno.h>
#include <string.h>

#include "foreign.h"
#include "tar_header.h"

namespace boxctl::tar {
namespace {

constexpr size_t kBuffer = 256 * 1024;

}  // namespace

Reader::Reader(Source source) : source_(source) {
  if (source_.lend == nullptr && buffer_.resize(kBuffer)) bytes_ = buffer_.begin();
}

bool Reader::fail(const char* why, int number) {
  failure_ = {why, number};
  return false;
}

// Reads more when the buffer is empty; at the end of the stream it stays empty.
bool Reader::fill() {
  if (start_ < end_ || stream_end_) return true;
  if (source_.lend == nullptr && bytes_ == nullptr) return fail(kNoMemory, ENOMEM);
  start_ = end_ = 0;
  for (;;) {
    const ssize_t got = source_.lend != nullptr ? lend() : source_.read(source_.context, buffer_.begin(), kBuffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail("the archive cannot be read", errno);
    if (got == 0) stream_end_ = true;
    end_ = static_cast<size_t>(got);
    return true;
  }
}

ssize_t Reader::lend() {
  const void* lent = nullptr;
  const ssize_t got = source_.lend(source_.context, &lent);
  bytes_ = static_cast<const char*>(lent);
  return got;
}

// All of `size` bytes, or none and `at_end`.
bool Reader::take(void* to, size_t size, bool& at_end) {
  size_t done = 0;
  if (!gather(to, size, done)) return false;
  at_end = done == 0 && size > 0;
  return done == size || done == 0 || fail("the archive is cut short");
}

// As much of `size` bytes as the stream has.
bool Reader::gather(void* to, size_t size, size_t& done) {
  char* out = static_cast<char*>(to);
  done = 0;
  while (done < size) {
    if (!fill()) return false;
    if (start_ == end_) return true;
    const size_t part = size - done < end_ - start_ ? size - done : end_ - start_;
    memcpy(out + done, bytes_ + start_, part);
    start_ += part;
    position_ += part;
    done += part;
  }
  return true;
}

// The stream begins with `size` bytes that are no header. Fails with the name of what it is, if it has one; else with
// `otherwise`, or when that is null not at all.
bool Reader::not_a_tar(const Header& start, size_t size, const char* otherwise) {
  List<char> bytes;
  if (!bytes.resize(foreign::kLook)) return fail(kNoMemory, ENOMEM);
  memcpy(bytes.begin(), start.bytes, size);
  size_t more = 0;
  if (!gather(bytes.begin() + size, foreign::kLook - size, more)) return false;
  const char* const what = foreign::recognise(reinterpret_cast<uint8_t*>(bytes.begin()), size + more);
  if (what != nullptr) return fail(what);
  return otherwise == nullptr || fail(otherwise);
}

bool Reader::skip(uint64_t size) {
  while (size > 0) {
    if (start_ == end_ && source_.skip != nullptr) {
      if (!source_.skip(source_.context, size)) return fail("the archive is cut short");
      position_ += size;
      return true;
    }
    if (!fill()) return false;
    if (start_ == end_) return fail("the archive is cut short");
    const uint64_t part = size < end_ - start_ ? size : end_ - start_;
    start_ += part;
    position_ += part;
    size -= part;
  }
  return true;
}

bool Reader::drain() {
  while (!stream_end_) {
    start_ = end_;
    if (!fill()) return false;
  }
  return true;
}

}  // namespace boxctl::tar
