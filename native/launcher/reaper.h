// The parent of the command in a container that has `init`, and how processes are killed that a command has left.
#pragma once

#include <sys/types.h>

namespace boxctl {

// A sealed file in memory with the program of native/init; or -errno.
long make_init();

// fork(2): the child returns 0 and goes on with the plan; the caller stays behind as its parent (native/shared/reap.h).
// Returns -errno on failure. `program`: what the caller executes to do so; -1: it does so as it is.
long become_reaper(int program);

// Sends SIGKILL to every process that the file `cgroup.procs` in the folder `path` beneath `dirfd` names.
void kill_members(int dirfd, const char* path);

// Kills and reaps every child of this process until it has none: what a container without a process namespace of its
// own left running is handed to the launcher, its subreaper. `spare`: a child that is left alone; -1: none.
void kill_children(pid_t spare);

}  // namespace boxctl
