#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

namespace boxctl::codec {

Input::~Input() { free(buffer_); }

bool Input::want(size_t count) {
  if (errno_ != 0) return false;
  if (buffer_ == nullptr) {
    buffer_ = static_cast<uint8_t*>(calloc(1, kBack + kSize + kPadding));
    if (buffer_ == nullptr) {
      errno_ = ENOMEM;
      return false;
    }
    next = end_ = buffer_ + kBack;
  }
  if (available() >= count || ended_) return true;
  const size_t kept = available();
  memmove(buffer_, next - kBack, kBack + kept);
  next = buffer_ + kBack;
  end_ = buffer_ + kBack + kept;
  while (available() < count) {
    const ssize_t got = source_.read(source_.context, end_, kSize - available());
    if (got < 0) {
      if (errno == EINTR) continue;
      errno_ = errno == 0 ? EIO : errno;
      return false;
    }
    if (got == 0) {
      ended_ = true;
      memset(end_, 0, kPadding);
      break;
    }
    end_ += got;
  }
  return true;
}

bool Input::drain() {
  do {
    next = end_;
    if (!want(1)) return false;
  } while (!ended_);
  return true;
}

ssize_t Input::read_through(void* buffer, size_t size) {
  if (ended_ || size == 0) return 0;
  for (;;) {
    const ssize_t got = source_.read(source_.context, buffer, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) errno_ = errno == 0 ? EIO : errno;
    if (got == 0) ended_ = true;
    return got;
  }
}

}  // namespace boxctl::codec
