#include "launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shared/sealed.h"
#include "../shared/syscalls.h"
#include "../wire/descriptors.h"

namespace boxctl {
namespace {

// Beyond the numbers that the launcher is given.
constexpr int kAside = 16;

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
  int lock;   // of a container in the background, which has nothing of the caller's standard files; or -1
  int claim;  // or -1
  long error;

  static int run(void* child) {
    auto* const self = static_cast<Child*>(child);
    self->error = self->become();
    return 127;
  }

 private:
  long become() const {
    static_assert(kPlanFd == 3 && kControlFd == 4 && kLauncherFds == 5);
    int given[5] = {plan, control};
    int count = 2;
    for (const int kept : {lock, claim}) {
      if (kept >= 0) given[count++] = kept;
    }
    given[count] = program;
    const int program_fd = kPlanFd + count;
    for (int i = 0; i <= count; i++) {
      given[i] = fcntl(given[i], F_DUPFD_CLOEXEC, kAside);
      if (given[i] < 0) return -errno;
    }
    for (int i = 0; i <= count; i++) {
      const int flags = i == count ? O_CLOEXEC : 0;
      if (const long error = call(SYS_dup3, given[i], kPlanFd + i, flags); error < 0) return error;
    }
    if (lock >= 0) {
      const Fd nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
      for (int fd = 0; fd < kPlanFd; fd++) {
        if (const long error = call(SYS_dup3, nothing.get(), fd, 0); error < 0) return error;
      }
    }
    call(kSysCloseRange, program_fd + 1L, ~0U, 0);
    // The container starts with no signal that is ignored. The kernel's structure: handler, flags, restorer, mask.
    const unsigned long action[4] = {};
    for (int signal = 1; signal <= 64; signal++) call(SYS_rt_sigaction, signal, action, nullptr, 8);
    // Signals stay blocked: the launcher reads them (run.cc). One that comes before it can must not end it.
    char name[] = "boxctl-launcher";
    char* arguments[] = {name, nullptr};
    char* environment[] = {nullptr};
    return call(SYS_execveat, program_fd, "", arguments, environment, AT_EMPTY_PATH);
  }
};

// The pid, or -errno.
long execute(const Fd& program, const Fd& control, const Launch& launch) {
  if (!program.valid()) return -EACCES;
  Child child = {program.get(), launch.plan.get(), control.get(), launch.lock, launch.claim, 0};
  alignas(16) char stack[4096];
  const int pid = clone(Child::run, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &child);
  if (pid < 0) return -errno;
  if (child.error == 0) return pid;
  waitpid(pid, nullptr, 0);
  return child.error;
}

}  // namespace

long start_launcher(const Kept& kept, const Path& folder, Launch& launch) {
  Path path = folder;
  if (!path.add("/native/boxctl-launcher").valid()) return -ENAMETOOLONG;
  const uint32_t locks = (launch.lock >= 0 ? 1 : 0) + (launch.claim >= 0 ? 1 : 0);
  memcpy(kept.plan + offsetof(PlanHeader, kept_fds), &locks, sizeof locks);
  launch.plan = seal("boxctl-plan", kept.plan, kept.plan_size);
  int sockets[2];
  if (!launch.plan.valid()) return -EIO;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return -errno;
  launch.socket = Fd(sockets[0]);
  const Fd theirs(sockets[1]);
  const List<UserRange>& users = kept.users;
  const Fd file = users.size() == 0 ? Fd() : open_out_of_reach(path.text(), users.begin(), users.size());
  long pid = execute(file, theirs, launch);
  // A copy can be executed even where the file lies in a file system without programs (noexec).
  if (pid == -EACCES) pid = execute(seal_program(path.text()), theirs, launch);
  if (pid < 0) return pid;
  launch.pid = static_cast<pid_t>(pid);
  return 0;
}

void release(const Launch& launch) {
  const Order order = {kOrderGo, 0};
  send(launch.socket.get(), &order, sizeof order, MSG_NOSIGNAL);
}

void refuse(Launch& launch) {
  launch.socket.reset();
  waitpid(launch.pid, nullptr, 0);
}

}  // namespace boxctl
