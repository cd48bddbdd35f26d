#include "remove.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

#include "../shared/fd.h"
#include "reaper.h"
#include "rmtree.h"

namespace boxctl {

long remove_tree(int dirfd, const char* path, int userns) {
  if (userns < 0) return -static_cast<long>(rmtree(dirfd, path));
  const pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) {
    // With every right over what the namespace has, and still with the caller's own ids over what is the caller's.
    if (setns(userns, CLONE_NEWUSER) != 0) _exit(errno);
    _exit(rmtree(dirfd, path));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

long remove_cgroup(int dirfd, const char* path) {
  for (int attempt = 0;; attempt++) {
    const long result = call(SYS_unlinkat, dirfd, path, AT_REMOVEDIR);
    if (result != -EBUSY || attempt == 2000) return result;
    kill_members(dirfd, path);
    usleep(1000);
  }
}

}  // namespace boxctl
