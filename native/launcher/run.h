// Walks a plan in two processes: the launcher makes the calls of the host's side, the container's first process those
// of its own. At each change of side, the one waits for the other.
#pragma once

#include <sys/types.h>

#include "../shared/fd.h"
#include "lean_mounts.h"
#include "plan.h"

namespace boxctl {

// Of a launcher that was asked for over a socket (serve.h).
struct Served {
  // The container can be born in them; null: there are none.
  LeanMounts* mounts = nullptr;
  // Closed once the command runs.
  Fd report;
};

// The container that a process of a plan joins: its first process, and its id.
struct Target {
  pid_t pid = 0;
  const char* id = nullptr;
};

// Descriptor `control` is the owner's socket. Returns when the container has ended and everything is undone.
// `target`: null unless a process of the plan joins a container.
void run(const Plan& plan, int control, Served* served = nullptr, const Target* target = nullptr);

}  // namespace boxctl
