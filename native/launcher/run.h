// Walks a plan in two processes: the launcher makes the calls of the host's side, the container's first process those
// of its own. At each change of side, the one waits for the other.
#pragma once

#include "plan.h"

namespace boxctl {

// Descriptor `control` is the owner's socket. Returns when the container has ended and everything is undone.
void run(const Plan& plan, int control);

}  // namespace boxctl
