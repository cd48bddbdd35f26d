// Sends the netlink messages of a plan. src/kernel/netlink has encoded them.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

namespace boxctl {

// The numbers that are filled in at the places of messages. A place contains the code of its number, which is in the
// comments here (FILLED in src/kernel/netlink/encode.ts).
struct Filled {
  pid_t child = 0;    // 0
  uint32_t link = 0;  // 1
};

// The number of the interface in the namespace of the socket `fd`, or -errno.
long interface_index(int fd, const char* name);

// Fills in the numbers, sends the messages, which were checked before, and reads the kernel's answers. Returns 0 or the
// first error. `detail` then has the number of the message in its upper half, and in its lower half the offset of the
// error in the message, or 0 if the kernel did not give it.
long send_messages(int fd, const Arg& messages, const Filled& filled, uint32_t& detail);

// Sends `question`, and then the messages if the answer is ENOENT.
long send_messages_once(int fd, const Arg& question, const Arg& messages, const Filled& filled, uint32_t& detail);

}  // namespace boxctl
