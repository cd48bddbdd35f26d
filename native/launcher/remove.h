// Removes what a container leaves: its files, and its cgroups.
#pragma once

namespace boxctl {

// Removes a tree. With `userns`, a user namespace or -1, it is done inside of that: files that a container has written
// belong to ids that the caller has only there.
long remove_tree(int dirfd, const char* path, int userns);
// Removes a cgroup. It is busy (EBUSY) while its last processes end, which is waited for. Processes that are still in
// it are killed.
long remove_cgroup(int dirfd, const char* path);
// Removes a name if it is still the file behind `fd`, no other process holds a lock of that file, and no file `unless`
// exists ("": that is not asked). Otherwise the name is left, and the result is 0 as well.
long remove_unused(int fd, int dirfd, const char* name, int flags, const char* unless);
// A copy of `other` where nobody else holds a lock of `fd`, which this process then locks for itself; else -EAGAIN.
long copy_if_unused(int fd, int other);

}  // namespace boxctl
