// How many files a process may have open (RLIMIT_NOFILE). The launcher raises its own soft limit where it needs more
// than its caller has, and the command gets the caller's.
#pragma once

#include <stdint.h>

namespace boxctl {

// To what is enough for the setup of a container, where the caller has less (`ulimit -n 10`).
void raise_few_open_files();

// To the hard limit. What the limit is then; 0: it cannot be read.
uint64_t raise_open_files();

bool has_raised_open_files();

// To what the caller had.
void restore_open_files();

}  // namespace boxctl
