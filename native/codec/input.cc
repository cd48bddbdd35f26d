#include "input.h"

#include <errno.h>
#include <string.h>

namespace boxctl::codec {
namespace {

// After a source has returned -1.
Failure cannot_be_read() { return {"the archive cannot be read", errno == 0 ? EIO : errno}; }

}  // namespace

bool Input::want(size_t count) {
  if (failure_) return false;
  if (buffer_ == nullptr) {
    if (!memory_.reset(kBack + kSize + kPadding)) {
      failure_ = {kNoMemory, ENOMEM};
      return false;
    }
    buffer_ = memory_.begin();
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
      failure_ = cannot_be_read();
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
    if (got < 0) failure_ = cannot_be_read();
    if (got == 0) ended_ = true;
    return got;
  }
}

}  // namespace boxctl::codec
