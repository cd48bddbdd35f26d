// The descriptors of a plan by the plan's own numbers, its slots.
#pragma once

#include <stdint.h>

#include <utility>

#include "../shared/fd.h"
#include "../shared/list.h"

namespace boxctl {

// Nothing is closed in the destructor: the process ends then.
class Slots {
 public:
  // So many without a descriptor. False: there is no memory left.
  bool make(uint32_t count) {
    if (!fds_.resize(count)) return false;
    for (int& fd : fds_) fd = -1;
    return true;
  }
  // -1: there is none.
  int operator[](uint64_t slot) const { return fds_[slot]; }
  // Closes what was there.
  void put(uint64_t slot, int fd) { Fd(std::exchange(fds_[slot], fd)); }
  void close(uint64_t slot) { put(slot, -1); }
  Fd take(uint64_t slot) { return Fd(std::exchange(fds_[slot], -1)); }

 private:
  List<int> fds_;
};

}  // namespace boxctl
