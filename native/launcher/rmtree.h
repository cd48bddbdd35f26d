// Removes a tree that someone else filled: never follows a link, never leaves the file system.
#pragma once

namespace boxctl {

// Removes `name` beneath `dirfd`, whatever it is, with all that it contains. Returns 0 or -errno: ENOENT when there
// is nothing of that name, EXDEV when something is mounted in it. What was removed before a failure stays removed.
long rmtree(int dirfd, const char* name);

}  // namespace boxctl
