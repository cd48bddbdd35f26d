#include "userns.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../shared/fd.h"

namespace boxctl {
namespace {

// The process whose namespace it is until the descriptor holds it. It is killed and reaped here.
class Holder {
 public:
  Holder() : pid_(static_cast<pid_t>(call(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr))) {
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;) pause();
  }
  ~Holder() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  pid_t pid() const { return pid_; }

 private:
  const pid_t pid_;
};

long open_of(pid_t pid, const char* name, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", static_cast<int>(pid), name);
  return negate(open(path, flags | O_CLOEXEC));
}

long write_map(pid_t pid, const char* name, const char* map) {
  const long opened = open_of(pid, name, O_WRONLY);
  if (opened < 0) return opened;
  const Fd file(static_cast<int>(opened));
  const size_t size = strlen(map);
  const ssize_t written = write(file.get(), map, size);
  if (written < 0) return -errno;
  return static_cast<size_t>(written) == size ? 0 : -EIO;
}

}  // namespace

long make_user_namespace(const char* uid_map, const char* gid_map) {
  const Holder holder;
  if (holder.pid() < 0) return holder.pid();
  const long uids = write_map(holder.pid(), "uid_map", uid_map);
  if (uids < 0) return uids;
  const long gids = write_map(holder.pid(), "gid_map", gid_map);
  if (gids < 0) return gids;
  return open_of(holder.pid(), "ns/user", O_RDONLY);
}

}  // namespace boxctl
