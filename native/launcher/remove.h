// Removes what a container leaves: its files, and its cgroups.
#pragma once

namespace boxctl {

// What a container has written belongs to ids that its maker has only in its user namespace; `userns` is -1 where there
// is none.
long remove_tree(int dirfd, const char* path, int userns);
// A cgroup whose processes are still ending is busy for a moment; one with processes that got away is emptied first.
long remove_cgroup(int dirfd, const char* path);
// Removes a name if it still is the file that `fd` is, nobody else holds a lock of that, and there is no `unless`,
// which may be empty. Else it is left, as 0 says, too.
long remove_unused(int fd, int dirfd, const char* name, int flags, const char* unless);
// A copy of `other` where nobody else holds a lock of `fd`, which this process then locks for itself; else -EAGAIN.
long copy_if_unused(int fd, int other);

}  // namespace boxctl
