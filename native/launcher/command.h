// The container's first process, seen from outside: signals to it, how it is stopped and killed, and its end.
#pragma once

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "events.h"
#include "job.h"
#include "plan.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

// How the setup or the command came to its end.
struct End {
  enum class Kind { kNone, kFailed, kExited, kSignaled } kind = Kind::kNone;
  uint32_t value = 0;
};

class Command {
 public:
  Command(const Plan& plan, Events& events) : plan_(plan), events_(events) {}

  // The first process exists. Its pidfd stays its owner's.
  void created(pid_t pid, int pidfd);
  // The command runs: its time begins.
  void started();

  pid_t pid() const { return pid_; }
  bool has_started() const { return started_; }
  // The container's first process: the one that was created, or its child where that joins a process namespace.
  pid_t inside() const;
  // It runs, or has ended and was not reaped yet.
  bool running() const { return started_ && !reaped_; }

  // It was stopped because its time was over.
  bool timed_out() const { return timed_out_; }

  // While it is running: its end, and the end of its time.
  void add_sources(Poller& poller);
  bool has_ended() const { return has_ended_; }
  // How long it has run, or ran until `reap`: ns.
  uint64_t life() const { return started_ ? (reaped_ ? ended_at_ : now_ns()) - started_at_ : 0; }

  void send(uint32_t signal);
  // What `docker stop` does: asks the command to end by a signal, and kills it when its grace period is over.
  void stop(uint32_t signal);
  void stop() { stop(plan_.stop_signal); }
  // The same with another grace period, in milliseconds, which begins now.
  void stop_within(uint32_t grace);
  // SIGHUP or SIGQUIT, sent by a terminal that is closed or by kill(1). The kernel does not deliver it to a first
  // process without a handler: that is stopped, or it would stay for ever. One with a handler may use the signal for
  // something else (to read its configuration again): it is sent the signal, and stopped only if the terminal was
  // closed.
  // Whether it is stopped.
  bool hang_up(uint32_t signal);
  // All processes of the container are stopped, and go on, as a shell's job.
  void pause();
  void resume();

  // Asked whenever the command is to be stopped, unless that is asked for a second time: true puts the signal off until
  // `send_stop`. The grace period begins all the same.
  using Delay = bool (*)(void* owner);
  void delay_stop(void* owner, Delay delay) {
    owner_ = owner;
    delay_ = delay;
  }
  void send_stop() { send(asked_by_); }

  // Waits for its end and reaps it. kNone: it was never created, or is reaped already.
  End reap();
  bool reaped() const { return reaped_; }

 private:
  pid_t after(bool (*forks)(Op)) const;
  void on_exit(short happened);
  void on_timer(short happened);
  void begin_grace(uint32_t signal, uint32_t grace);
  void kill_late();

  const Plan& plan_;
  Events& events_;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  // Runs for the command's time limit at first, and for its grace period once it is asked to end.
  Timer timer_;
  bool started_ = false;
  uint64_t started_at_ = 0;
  uint64_t ended_at_ = 0;
  bool has_ended_ = false;
  bool reaped_ = false;
  bool timed_out_ = false;
  bool stopping_ = false;
  void* owner_ = nullptr;
  Delay delay_ = nullptr;
  uint32_t asked_by_ = 0;  // the signal that began its grace period
  uint32_t grace_ = 0;     // ms
  StoppedTree stopped_;
};

}  // namespace boxctl
