#include "launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shared/syscalls.h"
#include "../wire/descriptors.h"

namespace boxctl {
namespace {

constexpr unsigned kMfdExec = 0x10;  // Linux 6.3
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
// Beyond the numbers that the launcher is given.
constexpr int kAside = 16;

Fd make_memory(const char* name, unsigned flags) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  long made = call(SYS_memfd_create, name, kFlags | flags);
  // An older kernel knows no flag for programs.
  if (made == -EINVAL && flags != 0) made = call(SYS_memfd_create, name, kFlags);
  return Fd(static_cast<int>(made));
}

// A copy that cannot be written to, not even through /proc/PID/exe in a container (CVE-2019-5736).
Fd seal_program(const char* path) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!file.valid() || fstat(file.get(), &status) != 0) return Fd();
  Fd copy = make_memory("boxctl-launcher", kMfdExec);
  for (off_t left = status.st_size; left > 0 && copy.valid();) {
    const ssize_t sent = sendfile(copy.get(), file.get(), nullptr, static_cast<size_t>(left));
    if (sent <= 0) return Fd();
    left -= sent;
  }
  return copy.valid() && fcntl(copy.get(), F_ADD_SEALS, kSeals) == 0 ? static_cast<Fd&&>(copy) : Fd();
}

// What becomes the launcher. It shares the memory of this process, which waits until then.
struct Child {
  int program;
  int plan;
  int control;
  long error;

  static int run(void* child) {
    auto* const self = static_cast<Child*>(child);
    self->error = self->become();
    return 127;
  }

 private:
  long become() const {
    const int from[] = {plan, control, program};
    int aside[3];
    for (int i = 0; i < 3; i++) {
      aside[i] = fcntl(from[i], F_DUPFD_CLOEXEC, kAside);
      if (aside[i] < 0) return -errno;
    }
    static_assert(kPlanFd == 3 && kControlFd == 4 && kLauncherFds == 5);
    for (int i = 0; i < 3; i++) {
      const int flags = i == 2 ? O_CLOEXEC : 0;
      if (const long error = call(SYS_dup3, aside[i], kPlanFd + i, flags); error < 0) return error;
    }
    call(kSysCloseRange, kLauncherFds + 1L, ~0U, 0);
    // The container starts with no signal that is ignored. The kernel's structure: handler, flags, restorer, mask.
    const unsigned long action[4] = {};
    for (int signal = 1; signal <= 64; signal++) call(SYS_rt_sigaction, signal, action, nullptr, 8);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    char name[] = "boxctl-launcher";
    char* arguments[] = {name, nullptr};
    char* environment[] = {nullptr};
    return call(SYS_execveat, kLauncherFds, "", arguments, environment, AT_EMPTY_PATH);
  }
};

// The pid, or -errno.
long execute(const Fd& program, const Fd& plan, const Fd& control) {
  if (!program.valid()) return -EACCES;
  Child child = {program.get(), plan.get(), control.get(), 0};
  alignas(16) char stack[4096];
  const int pid = clone(Child::run, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &child);
  if (pid < 0) return -errno;
  if (child.error == 0) return pid;
  waitpid(pid, nullptr, 0);
  return child.error;
}

}  // namespace

Fd seal(const char* name, const void* data, size_t size) {
  Fd file = make_memory(name, 0);
  const char* at = static_cast<const char*>(data);
  for (size_t left = size; left > 0 && file.valid();) {
    const ssize_t wrote = write(file.get(), at, left);
    if (wrote <= 0) return Fd();
    at += wrote;
    left -= static_cast<size_t>(wrote);
  }
  return file.valid() && fcntl(file.get(), F_ADD_SEALS, kSeals) == 0 ? static_cast<Fd&&>(file) : Fd();
}

long start_launcher(const Kept& kept, const Path& folder, Launch& launch) {
  Path path = folder;
  if (!path.add("/native/boxctl-launcher").valid()) return -ENAMETOOLONG;
  launch.plan = seal("boxctl-plan", kept.plan, kept.plan_size);
  int sockets[2];
  if (!launch.plan.valid()) return -EIO;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return -errno;
  launch.socket = Fd(sockets[0]);
  const Fd theirs(sockets[1]);
  const List<UserRange>& users = kept.users;
  const Fd file = users.size() == 0 ? Fd() : open_out_of_reach(path.text(), users.begin(), users.size());
  long pid = execute(file, launch.plan, theirs);
  // A copy can be executed even where the file lies in a file system without programs (noexec).
  if (pid == -EACCES) pid = execute(seal_program(path.text()), launch.plan, theirs);
  if (pid < 0) return pid;
  launch.pid = static_cast<pid_t>(pid);
  return 0;
}

}  // namespace boxctl
