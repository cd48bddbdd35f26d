// Keeps the addresses of the host and of its containers in sets of the router's table, so that its rules refuse them:
// the router is a network namespace of its own, in which the kernel cannot tell them from others. They are the
// destinations of the host's local routes, also of addresses on interfaces that are down and of whole subnets, and of
// its routes to containers. The kernel tells of each change of routes (RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE).
#pragma once

#include <stdint.h>

#include <utility>

#include "../shared/fd.h"
#include "calls.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

class HostAddresses {
 public:
  explicit HostAddresses(Context& context) : context_(context) {}

  // Writes the addresses that the host has now, and from now on waits for changes. `socket` owns the table. The texts
  // have to outlive this object. Returns 0 or -errno.
  long watch(uint16_t socket, const char* table, const char* set4, const char* set6);
  void add_sources(Poller& poller) {
    if (rests_) return poller.add<&HostAddresses::on_time>(timer_.fd(), POLLIN, *this);
    poller.add<&HostAddresses::on_change>(changes_.get(), POLLIN, *this);
  }
  // Once after a change was looked at.
  bool has_worked() { return std::exchange(worked_, false); }

 private:
  void on_change(short happened);
  void on_time(short happened);
  long update() const;

  Context& context_;
  Fd changes_;
  uint16_t socket_ = kNoSlot;
  const char* table_ = nullptr;
  const char* sets_[2] = {};  // of IPv4 and of IPv6
  bool worked_ = false;
  bool rests_ = false;  // until the timer
  Timer timer_;
};

}  // namespace boxctl
