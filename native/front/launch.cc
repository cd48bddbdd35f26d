#include "launch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

// The container starts with no signal that is ignored.
void restore_signals() {
  const uint64_t ignored = ignored_signals();
  // The kernel's structure: handler, flags, restorer, mask.
  const unsigned long action[4] = {};
  for (int signal = 1; signal <= 64; signal++) {
    if (ignored >> (signal - 1) & 1) call(SYS_rt_sigaction, signal, action, nullptr, 8);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// `lock`: of a container in the background, which has nothing of the caller's standard files; or -1.
[[noreturn]] void become(int program, int plan, int control, int lock) {
  static_assert(kPlanFd == 3 && kControlFd == 4 && kLauncherFds == 5);
  int given[4] = {plan, control};
  int count = 2;
  if (lock >= 0) given[count++] = lock;
  given[count] = program;
  const int program_fd = kPlanFd + count;
  for (int i = 0; i <= count; i++) given[i] = fcntl(given[i], F_DUPFD_CLOEXEC, kAside);
  for (int i = 0; i <= count; i++) {
    const int flags = i == count ? O_CLOEXEC : 0;
    if (given[i] < 0 || call(SYS_dup3, given[i], kPlanFd + i, flags) < 0) _exit(127);
  }
  const Fd nothing(lock >= 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1);
  for (int fd = 0; lock >= 0 && fd < kPlanFd; fd++) {
    if (call(SYS_dup3, nothing.get(), fd, 0) < 0) _exit(127);
  }
  call(kSysCloseRange, program_fd + 1L, ~0U, 0);
  restore_signals();
  char name[] = "boxctl-launcher";
  char* arguments[] = {name, nullptr};
  char* environment[] = {nullptr};
  call(SYS_execveat, program_fd, "", arguments, environment, AT_EMPTY_PATH);
  _exit(127);
}

}  // namespace

uint64_t ignored_signals() {
  const Fd file(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = file.valid() ? read(file.get(), text, sizeof text - 1) : -1;
  if (size <= 0) return 0;
  text[size] = '\0';
  const char* line = strstr(text, "\nSigIgn:");
  return line == nullptr ? 0 : strtoull(line + 8, nullptr, 16);
}

long start_launcher(const Kept& kept, const Path& folder, Launch& launch) {
  Path path = folder;
  if (!path.add("/native/boxctl-launcher").valid()) return -ENAMETOOLONG;
  const Fd program = seal_program(path.text());
  launch.plan = seal("boxctl-plan", kept.plan, kept.plan_size);
  int sockets[2];
  if (!program.valid() || !launch.plan.valid()) return -EIO;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return -errno;
  launch.socket = Fd(sockets[0]);
  const Fd theirs(sockets[1]);
  launch.pid = fork();
  if (launch.pid == 0) become(program.get(), launch.plan.get(), theirs.get(), launch.lock);
  return launch.pid < 0 ? -errno : 0;
}

}  // namespace boxctl
