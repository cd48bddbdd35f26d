// Watches the system calls that a filter puts before a listener (seccomp_unotify(2)), counts them, and lets them go on.
// It decides nothing by a call's arguments, which another thread could change after they were read.
#pragma once

#include <stdint.h>

#include "../shared/fd.h"
#include "../shared/list.h"
#include "events.h"
#include "poller.h"

namespace boxctl {

class Observer {
 public:
  // False when there is no room for the kernel's messages.
  bool start(Fd listener);
  void add_sources(Poller& poller) { poller.add<&Observer::answer>(listener_.get(), POLLIN, *this); }
  // A record for each call that was seen; before the end of the others'.
  void report(Events& events) const;

 private:
  void answer(short happened);
  void count(uint32_t arch, int number);

  static constexpr uint32_t kNumbers = 1024;
  Fd listener_;
  List<uint64_t> counts_;  // by the number of the call
  uint64_t others_ = 0;    // of other architectures, and of numbers from kNumbers on
  List<uint64_t> request_;
  List<uint64_t> answer_;
};

}  // namespace boxctl
