// How many files a process may have open (RLIMIT_NOFILE). The launcher raises its own soft limit where it needs more
// than its caller has, and the command gets the caller's.
#pragma once

#include <stdint.h>

namespace boxctl {

struct Plan;

// To what is enough for the setup of a container, where the caller has less (`ulimit -n 10`).
void raise_few_open_files();

// To the hard limit. What the limit is then; 0: it cannot be read.
uint64_t raise_open_files();

// For the process that executes the plan's command: to what the caller had, unless the plan sets that limit
// (prlimit64). Before the command's filter, which may forbid it.
void restore_open_files(const Plan& plan);

}  // namespace boxctl
