// When a container is started again after its end, and how long that waits.
#pragma once

#include <stdint.h>

#include "plan.h"

namespace boxctl {

class Restarts {
 public:
  explicit Restarts(const Plan& plan) : plan_(plan) {}

  // How often the launcher has started it again by itself.
  uint32_t count() const { return count_; }
  // Whether the policy starts it again after such an end.
  bool follow(bool failure) const {
    if (plan_.restart == kRestartAlways) return true;
    if (plan_.restart == kRestartNo || !failure) return false;
    return plan_.restart_most == 0 || count_ < plan_.restart_most;
  }
  // One more. Milliseconds until then: twice those of the last time, unless the command has lived for long (in ns).
  uint32_t next(uint64_t life) {
    if (life >= kLongLife) delay_ = kFirst;
    const uint32_t delay = delay_;
    delay_ = delay > kLongest / 2 ? kLongest : delay * 2;
    count_++;
    return delay;
  }
  // A person has started it.
  void reset() {
    count_ = 0;
    delay_ = kFirst;
  }

 private:
  static constexpr uint32_t kFirst = 100;
  static constexpr uint32_t kLongest = 60'000;
  static constexpr uint64_t kLongLife = 10'000'000'000;

  const Plan& plan_;
  uint32_t count_ = 0;
  uint32_t delay_ = kFirst;
};

}  // namespace boxctl
