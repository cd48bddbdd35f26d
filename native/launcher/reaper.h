// The parent of the command in a container that has `init`, and how processes are killed that a command has left.
#pragma once

#include <sys/types.h>

namespace boxctl {

struct Context;

// fork(2): the child returns 0 and goes on with the plan; the caller stays behind as its parent, forwards signals to
// it, reaps whatever is handed to it, and ends with the child's status (128+n for a signal). Returns -errno on failure.
long become_reaper(Context& context);

// Sends SIGKILL to every process that the file `cgroup.procs` in the folder `path` beneath `dirfd` names.
void kill_members(int dirfd, const char* path);

// Kills and reaps every child of this process until it has none: what a container without a process namespace of its
// own left running is handed to the launcher, its subreaper. `spare`: a child that is left alone; -1: none.
void kill_children(pid_t spare);

}  // namespace boxctl
