// Closes descriptors without waiting for what the kernel does at the close.
#pragma once

#include "../shared/fd.h"

namespace boxctl {

// Returns at once. The kernel closes the descriptor in a thread of its own, some milliseconds later, also when this
// process has ended. close(2) of a netlink socket that owns tables of nf_tables waits for an RCU grace period, which
// takes 10 milliseconds. No other process may have the descriptor, and this one no copy of it.
void close_later(Fd fd);

}  // namespace boxctl
