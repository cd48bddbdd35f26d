#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

using boxctl::libc::call;
using boxctl::libc::call_int;

extern "C" {

pid_t fork() noexcept { return call_int(SYS_clone, SIGCHLD, 0, nullptr, nullptr, 0); }

pid_t waitpid(pid_t pid, int* status, int options) { return call_int(SYS_wait4, pid, status, options, nullptr); }

// SIGABRT is blocked in the launcher, and would not end it.
void abort() noexcept { __builtin_trap(); }

int posix_spawnattr_init(posix_spawnattr_t* attributes) noexcept {
  *attributes = {};
  return 0;
}
int posix_spawnattr_destroy(posix_spawnattr_t*) noexcept { return 0; }
int posix_spawnattr_setflags(posix_spawnattr_t* attributes, short flags) noexcept {
  attributes->__flags = flags;
  return flags == POSIX_SPAWN_SETSIGMASK ? 0 : EINVAL;
}
int posix_spawnattr_setsigmask(posix_spawnattr_t* attributes, const sigset_t* mask) noexcept {
  attributes->__ss = *mask;
  return 0;
}

// The new process tells through a pipe, which a successful execve(2) closes, why it could not become the program.
int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const* argv, char* const* environment) {
  if (actions != nullptr) return EINVAL;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  const pid_t made = fork();
  if (made == 0) {
    if (attributes != nullptr) sigprocmask(SIG_SETMASK, &attributes->__ss, nullptr);
    const int error = static_cast<int>(-boxctl::libc::raw(SYS_execve, path, argv, environment));
    _exit(write(ends[1], &error, sizeof error) == sizeof error ? 127 : 126);
  }
  int error = made < 0 ? errno : 0;
  close(ends[1]);
  if (made > 0 && read(ends[0], &error, sizeof error) == sizeof error) {
    waitpid(made, nullptr, 0);
  } else if (made > 0) {
    *pid = made;
  }
  close(ends[0]);
  return error;
}

}  // extern "C"
