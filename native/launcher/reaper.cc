#include "reaper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "calls.h"
#include "proc.h"

namespace boxctl {
namespace {

constexpr long kSysCloseRange = 436;

[[noreturn]] void reap_until(pid_t child) {
  // Not one of the command's descriptors is kept, so that its pipes end when it closes them.
  call(kSysCloseRange, 0U, ~0U, 0U);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  for (;;) {
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
      if (ended != child) continue;
      _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    if (ended < 0 && errno == ECHILD) _exit(125);
    siginfo_t info;
    if (sigwaitinfo(&all, &info) < 0) continue;
    // The kernel's own are about this process; everything that somebody has sent is meant for the command.
    if (info.si_signo != SIGCHLD && info.si_code <= 0) kill(child, info.si_signo);
  }
}

}  // namespace

long become_reaper(Context& context) {
  const pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) return 0;
  (void)context;
  reap_until(pid);
}

void kill_members(int dirfd, const char* path) {
  char name[4200];
  if (snprintf(name, sizeof name, "%s/cgroup.procs", path) >= static_cast<int>(sizeof name)) return;
  for_numbers(dirfd, name, [](int pid) {
    // 0 stands for a process that this one cannot see: kill(0) would hit ourselves.
    if (pid > 1) kill(pid, SIGKILL);
  });
}

void kill_children() {
  // A process that may not be killed by us (set-user-id) must not hold us for ever.
  for (int attempt = 0; attempt < 2000; attempt++) {
    int status;
    while (waitpid(-1, &status, WNOHANG | __WALL) > 0) {
    }
    if (errno == ECHILD) return;
    for_numbers(AT_FDCWD, "/proc/thread-self/children", [](int pid) { kill(pid, SIGKILL); });
    const timespec pause = {0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace boxctl
