// Beside a container that does nothing, the netlink messages of its plan are the largest part of the launcher's own
// memory. They are needed again only when the container is started again or a table has to be made again.
#pragma once

#include <stddef.h>

#include "plan.h"

namespace boxctl {

class PlanFile {
 public:
  // Moves the plan's netlink messages to a file of the folder that has no name. Where it cannot, they stay in memory.
  // Nothing else of the plan is written to a disk: it may have values of the caller's environment.
  void keep_messages(int folder, const Plan& plan);
  // Gives back what was read from the file since. It is read again as it is used.
  void release(const Plan& plan) const;

 private:
  size_t kept_ = 0;  // bytes of the first messages that are in the file
};

}  // namespace boxctl
