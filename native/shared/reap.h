// What the first process of a container with `init` does all its life.
#pragma once

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace boxctl {

// Forwards signals to the child, reaps whatever is handed to this process, and ends with the child's status (128+n for
// a signal). Every signal must be blocked.
[[noreturn]] inline void reap_until(pid_t child) {
  sigset_t all;
  sigfillset(&all);
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

}  // namespace boxctl
