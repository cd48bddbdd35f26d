// Processes: the container's first, what it becomes, and helpers of the host.
#pragma once

#include "calls.h"

namespace boxctl {

// clone3(2): the other process goes on with the next step of its side. Each has its end of the handover. Returns the
// pidfd, and 0 in the new one.
long clone_process(Context& context, const Call& c, int cgroup);
// Tries each path in turn. `detail`: which of them failed.
long execute(const Context& context, const Call& c, uint32_t& detail);
// Has the kernel read the first `count` bytes of the first of the files that is there, below `root`.
long read_ahead(int root, const Context& context, const Arg& paths, uint64_t count);
// Runs a program and waits. -EPERM, and its status in `detail`, where that is not 0.
long run_helper(const Context& context, const char* path, const Arg& list, uint32_t& detail);

}  // namespace boxctl
