// Removes what a container leaves: its files, and its cgroups.
#pragma once

namespace boxctl {

// What a container has written belongs to ids that its maker has only in its user namespace; `userns` is -1 where there
// is none.
long remove_tree(int dirfd, const char* path, int userns);
// A cgroup whose processes are still ending is busy for a moment; one with processes that got away is emptied first.
long remove_cgroup(int dirfd, const char* path);

}  // namespace boxctl
