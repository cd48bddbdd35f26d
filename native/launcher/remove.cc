#include "remove.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../shared/directory.h"
#include "../shared/fd.h"
#include "reaper.h"
#include "rmtree.h"

namespace boxctl {
namespace {

// The name of a directory in this one; false: there is none.
bool first_directory(int fd, char* name, size_t size) {
  Directory listing(fd);
  if (!listing.valid()) return false;
  while (const dirent* entry = listing.next()) {
    if (entry->d_type == DT_DIR) return static_cast<size_t>(snprintf(name, size, "%s", entry->d_name)) < size;
  }
  return false;
}

}  // namespace

long remove_tree(int dirfd, const char* path, int userns) {
  if (userns < 0) return rmtree(dirfd, path);
  const pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) {
    // With every right over what the namespace has, and still with the caller's own ids over what is the caller's.
    if (setns(userns, CLONE_NEWUSER) != 0) _exit(errno);
    _exit(static_cast<int>(-rmtree(dirfd, path)));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

namespace {

// Removes the cgroups that the container's processes have made in this one. They may lie deeper than there are
// descriptors, so the way back up is by "..".
void remove_inner(int dirfd, const char* path) {
  Fd at(openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  for (long depth = 0, steps = 0; at.valid() && steps < 100'000; steps++) {
    char name[256];
    if (!first_directory(at.get(), name, sizeof name)) {
      if (depth-- == 0) return;
      at = Fd(openat(at.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      continue;
    }
    kill_members(at.get(), name);
    if (unlinkat(at.get(), name, AT_REMOVEDIR) == 0) continue;
    Fd inner(openat(at.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    char deeper[256];
    // Its last process is still ending.
    if (inner.valid() && !first_directory(inner.get(), deeper, sizeof deeper)) return;
    at = std::move(inner);
    depth++;
  }
}

}  // namespace

long remove_cgroup(int dirfd, const char* path) {
  for (int attempt = 0;; attempt++) {
    const long result = call(SYS_unlinkat, dirfd, path, AT_REMOVEDIR);
    if (result != -EBUSY || attempt == 2000) return result;
    kill_members(dirfd, path);
    remove_inner(dirfd, path);
    usleep(1000);
  }
}

long copy_if_unused(int fd, int other) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return -errno;
  return negate(fcntl(other, F_DUPFD_CLOEXEC, 3));
}

long remove_unused(int fd, int dirfd, const char* name, int flags, const char* unless) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK ? 0 : -errno;
  struct stat own, found;
  if (*unless != '\0' && fstatat(dirfd, unless, &found, AT_SYMLINK_NOFOLLOW) == 0) return 0;
  if (fstat(fd, &own) != 0) return -errno;
  if (fstatat(dirfd, name, &found, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
  if (own.st_dev != found.st_dev || own.st_ino != found.st_ino) return 0;
  return negate(unlinkat(dirfd, name, flags));
}

}  // namespace boxctl
