#include "reaper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "../shared/syscalls.h"
#include "calls.h"
#include "proc.h"

namespace boxctl {
namespace {

[[noreturn]] void reap_until(pid_t child) {
  // The command's pipes must end when the command closes them.
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
    // A signal of the kernel's (si_code > 0) is about this process. One that a process has sent is for the command.
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
    // The kernel writes 0 for a process of another pid namespace. kill(0) would kill our own process group.
    if (pid > 1) kill(pid, SIGKILL);
  });
}

void kill_children(pid_t spare) {
  // Not for ever: kill(2) may not be permitted (a set-user-id program).
  for (int attempt = 0; attempt < 2000; attempt++) {
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
    }
    if (ended < 0 && errno == ECHILD) return;
    bool others = false;
    for_numbers(AT_FDCWD, "/proc/thread-self/children", [&](int pid) {
      if (pid == spare) return;
      others = true;
      kill(pid, SIGKILL);
    });
    if (spare > 0 && !others) return;
    const timespec pause = {0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace boxctl
