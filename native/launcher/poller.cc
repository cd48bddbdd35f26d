#include "poller.h"

#include <errno.h>
#include <stdlib.h>

namespace boxctl {

void Poller::add(int fd, short events, void* owner, Handler handler) {
  if (fd < 0) return;
  if (count_ == kMost) abort();
  polls_[count_] = {fd, events, 0};
  owners_[count_] = owner;
  handlers_[count_] = handler;
  count_++;
}

long Poller::wait() {
  if (poll(polls_, count_, most_) >= 0) return 0;
  const int error = errno;
  // poll(2) fills nothing in when it fails.
  for (size_t i = 0; i < count_; i++) polls_[i].revents = 0;
  return error == EINTR ? 0 : -error;
}

bool Poller::has_any() const {
  for (size_t i = 0; i < count_; i++) {
    if (polls_[i].revents != 0) return true;
  }
  return false;
}

void Poller::dispatch() const {
  for (size_t i = 0; i < count_; i++) {
    if (polls_[i].revents != 0 && handlers_[i] != nullptr) handlers_[i](owners_[i], polls_[i].revents);
  }
}

}  // namespace boxctl
