// A timer that is a descriptor (timerfd), so that the launcher waits for time as it waits for everything else
// (poller.h).
#pragma once

#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>

#include "../shared/fd.h"

namespace boxctl {

class Timer {
 public:
  // Starts it, from now and once, instead of what it was set to before. It is made at its first start. False: there is
  // none, errno says why.
  bool set(uint64_t ms) {
    if (!fd_.valid()) fd_ = Fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    itimerspec value = {};
    value.it_value.tv_sec = static_cast<time_t>(ms / 1000);
    value.it_value.tv_nsec = static_cast<long>(ms % 1000 * 1'000'000);
    return timerfd_settime(fd_.get(), 0, &value, nullptr) == 0;
  }
  // Becomes readable when the time is over; -1 before the first start.
  int fd() const { return fd_.get(); }
  // To be called when it is readable. False: it was set again after poll(2) had returned.
  bool expired() {
    uint64_t times;
    return read(fd_.get(), &times, sizeof times) == sizeof times;
  }

 private:
  Fd fd_;
};

}  // namespace boxctl
