#include "stage_readers.h"

#include <errno.h>
#include <unistd.h>

namespace boxctl::image {

Failure Digest::start() { return start_thread(thread_, run, this); }

void* Digest::run(void* self) {
  auto& digest = *static_cast<Digest*>(self);
  codec::Sha256 hash;
  const uint8_t* data = nullptr;
  size_t size = 0;
  do {
    if (!digest.stage_.next(digest.reader_, data, size)) return nullptr;
    hash.update(data, size);
  } while (size > 0);
  hash.finish(digest.hex_);
  return nullptr;
}

const char* Digest::wait() {
  pthread_join(thread_, nullptr);
  return hex_;
}

Failure Copy::start() { return start_thread(thread_, run, this); }

void* Copy::run(void* self) {
  auto& copy = *static_cast<Copy*>(self);
  copy.done_ = copy.write();
  return nullptr;
}

bool Copy::write() {
  const uint8_t* data = nullptr;
  size_t size = 0;
  for (;;) {
    if (!stage_.next(reader_, data, size)) return false;
    if (size == 0) return true;
    bytes_ += size;
    if (bytes_ > limit_) return fail({"the archive has more data than an image may have"});
    if (const Failure failure = write_all(fd_, data, size); failure) return fail(failure);
  }
}

bool Copy::fail(const Failure& failure) {
  failure_ = failure;
  stage_.abandon(ECANCELED);
  return false;
}

bool Copy::wait() {
  pthread_join(thread_, nullptr);
  return done_;
}

Failure write_all(int fd, const void* data, size_t size) {
  const auto* from = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t wrote = write(fd, from, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return {"the file cannot be written", errno};
    from += wrote;
    size -= static_cast<size_t>(wrote);
  }
  return {};
}

}  // namespace boxctl::image
