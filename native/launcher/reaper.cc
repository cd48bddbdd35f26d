#include "reaper.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "../shared/reap.h"
#include "../shared/sealed.h"
#include "../shared/syscalls.h"
#include "proc.h"

namespace boxctl {
namespace {

// The program that native/init is, as native/build.mjs has made it.
constexpr uint8_t kInit[] = {
#include "../build/boxctl-init.inc"
};

// Returns only where the kernel, or a filter of the file's, does not let it be executed. The descriptors are closed by
// its execution and not before: so the handover's socket also tells the launcher that this process can be joined.
void execute_init(int program, pid_t child) {
  char number[16];
  snprintf(number, sizeof number, "%d", static_cast<int>(child));
  char name[] = "boxctl-init";
  char* arguments[] = {name, number, nullptr};
  char* environment[] = {nullptr};
  call(kSysCloseRange, 0U, ~0U, CLOSE_RANGE_CLOEXEC);
  call(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
}

}  // namespace

long make_init() {
  Fd made = seal("boxctl-init", kInit, sizeof kInit, kMfdExec);
  return made.valid() ? made.release() : -errno;
}

long become_reaper(int program) {
  const pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) return 0;
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  if (program >= 0) execute_init(program, pid);
  // The command's pipes must end when the command closes them.
  call(kSysCloseRange, 0U, ~0U, 0U);
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
