// Netlink messages of a plan, which are sent as they are (src/kernel/netlink has made them).
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

namespace boxctl {

// What is filled in at the places of messages; the number that is there before says which
// (src/kernel/netlink/encode.ts).
struct Filled {
  pid_t child = 0;    // 0
  uint32_t link = 0;  // 1
};

// The number of the interface in the namespace of the socket `fd`, or -errno.
long interface_index(int fd, const char* name);

// Sends checked messages, with the numbers at their places, and reads the kernel's answers, which are there once they
// are sent. 0, or the first error. `detail` then is the number of the message in its upper half, and in the lower half
// where in the message the kernel found a mistake (0: it does not say).
long send_messages(int fd, const Arg& messages, const Filled& filled, uint32_t& detail);

// Sends `question`, and the messages only if what it asks for is not there (ENOENT).
long send_messages_once(int fd, const Arg& question, const Arg& messages, const Filled& filled, uint32_t& detail);

}  // namespace boxctl
