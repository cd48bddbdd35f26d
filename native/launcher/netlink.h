// Netlink messages of a plan, which are sent as they are (src/kernel/netlink has made them).
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

namespace boxctl {

// Sends checked messages, with `child` at their places, and reads the kernel's answers, which are there once they are
// sent. 0, or the first error. `detail` then is the number of the message in its upper half, and in the lower half
// where in the message the kernel found a mistake (0: it does not say).
long send_messages(int fd, const Arg& messages, pid_t child, uint32_t& detail);

// Sends `question`, and the messages only if what it asks for is not there (ENOENT).
long send_messages_once(int fd, const Arg& question, const Arg& messages, pid_t child, uint32_t& detail);

}  // namespace boxctl
