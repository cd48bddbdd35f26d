// Beside a container that does nothing, the steps of its network are the largest part of the launcher's own memory.
// They are needed again only when the container is started again or a table has to be made again.
#pragma once

#include <stddef.h>

#include "plan.h"

namespace boxctl {

class PlanFile {
 public:
  // Moves steps that have only descriptors, numbers and netlink messages to a file of the folder that has no name.
  // Where it cannot, they stay in memory. Texts are not written to a disk: they may be of the caller's environment.
  void keep_steps(int folder, const Plan& plan);
  // Gives back what was read from the file since. It is read again as it is used.
  void release(const Plan& plan) const;

 private:
  size_t kept_ = 0;  // bytes of the first steps that are in the file
};

}  // namespace boxctl
