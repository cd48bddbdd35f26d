#include "events.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

namespace boxctl {

uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void Events::add(const Record& record) {
  if (count_ == sizeof records_ / sizeof *records_) flush();
  records_[count_++] = record;
}

void Events::flush() {
  const char* at = reinterpret_cast<const char*>(records_);
  size_t left = count_ * sizeof(Record);
  while (left > 0) {
    const ssize_t sent = send(socket_, at, left, MSG_NOSIGNAL);
    if (sent > 0) {
      at += sent;
      left -= static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      // The owner may have made the socket non-blocking on its side of the same description.
      pollfd wait = {socket_, POLLOUT, 0};
      poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      break;
    }
  }
  count_ = 0;
}

}  // namespace boxctl
