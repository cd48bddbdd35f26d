// Job control: the container stops and goes on with boxctl, whose process group the launcher is in.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "../shared/list.h"

namespace boxctl {

// While it exists, the kernel may stop the job because it uses a terminal from the background (SIGTTIN, SIGTTOU). With
// 0 it does nothing.
class Stoppable {
 public:
  explicit Stoppable(int signal) : signal_(signal) {
    if (signal_ == 0) return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_UNBLOCK, &set, &before_);
  }
  ~Stoppable() {
    if (signal_ != 0) sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Stoppable(const Stoppable&) = delete;
  Stoppable& operator=(const Stoppable&) = delete;

 private:
  const int signal_;
  sigset_t before_;
};

// Whether a process has a handler for the signal, by /proc/PID/status. False where that cannot be read.
bool handles_signal(pid_t pid, int signal);
// The child that a process has had for the longest time; -1 if it has none.
pid_t eldest_child(pid_t pid);

// The processes of a container that were stopped, to be continued later.
class StoppedTree {
 public:
  bool stopped() const { return stopped_; }
  // Stops `first` and all its descendants: by SIGTSTP, as a terminal does, where a process handles it, else by SIGSTOP.
  void stop(pid_t first);
  void resume();

 private:
  bool add(pid_t pid);
  void add_children(pid_t pid);

  struct Stopped {
    pid_t pid;
    bool by_us;
  };

  bool stopped_ = false;
  List<Stopped> processes_;
};

}  // namespace boxctl
