#include "command.h"

#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../shared/syscalls.h"
#include "streams.h"

namespace boxctl {
namespace {

bool terminal_is_gone() {
  termios settings;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (is_terminal(fd) && tcgetattr(fd, &settings) != 0) return true;
  }
  return false;
}

}  // namespace

void Command::created(pid_t pid, int pidfd) {
  pid_ = pid;
  pidfd_ = pidfd;
}

void Command::started() {
  started_ = true;
  started_at_ = now_ns();
  // A command without its limit must not go on.
  if (plan_.time_limit != 0 && !timer_.set(plan_.time_limit)) send(SIGKILL);
}

void Command::add_sources(Poller& poller) {
  if (!running()) return;
  poller.add<&Command::on_timer>(timer_.fd(), POLLIN, *this);
  poller.add<&Command::on_exit>(pidfd_, POLLIN, *this);
}

void Command::on_exit(short) { has_ended_ = true; }

void Command::on_timer(short) {
  if (!timer_.expired()) return;
  if (stopping_) return kill_late();
  timed_out_ = true;
  events_.add({Event::kTimeLimit, 0, 0, 0, 0, 0});
  stop();
}

void Command::send(uint32_t signal) {
  if (pidfd_ >= 0) call(kSysPidfdSendSignal, pidfd_, signal, nullptr, 0);
}

void Command::stop(uint32_t signal) {
  // A stopped process handles no signal.
  stopped_.resume();
  if (stopping_ || plan_.grace == 0 || delay_ == nullptr || !delay_(owner_)) send(signal);
  if (!stopping_) begin_grace(signal, plan_.grace);
}

void Command::stop_within(uint32_t grace) {
  stopped_.resume();
  if (stopping_ || grace == 0 || delay_ == nullptr || !delay_(owner_)) send(plan_.stop_signal);
  begin_grace(plan_.stop_signal, grace);
}

void Command::begin_grace(uint32_t signal, uint32_t grace) {
  stopping_ = true;
  asked_by_ = signal;
  grace_ = grace;
  if (grace == 0 || !timer_.set(grace)) kill_late();
}

void Command::kill_late() {
  events_.add({Event::kGraceOver, 0, 0, asked_by_, grace_, 0});
  send(SIGKILL);
}

// The process that goes on with the plan after its calls of this kind, each of which leaves a reaper in the process
// before.
pid_t Command::after(bool (*forks)(Op)) const {
  pid_t pid = pid_;
  for (uint32_t index = 0; index < plan_.steps && pid > 0; index++) {
    const Step current = step(plan_, index);
    if (current.side == Side::kContainer && forks(current.call.op)) pid = eldest_child(pid);
  }
  return pid;
}

pid_t Command::inside() const {
  return after([](Op op) { return op == Op::kFork; });
}

bool Command::hang_up(uint32_t signal) {
  const pid_t pid = after(forks);
  if (pid > 0 && handles_signal(pid, static_cast<int>(signal)) && !terminal_is_gone()) {
    send(signal);
    return false;
  }
  stop(signal);
  return true;
}

void Command::pause() { stopped_.stop(pid_); }

void Command::resume() {
  if (!stopped_.stopped()) send(SIGCONT);
  stopped_.resume();
}

End Command::reap() {
  if (pidfd_ < 0 || reaped_) return {};
  siginfo_t info = {};
  long result;
  do result = call(SYS_waitid, P_PIDFD, pidfd_, &info, WEXITED, nullptr);
  while (result == -EINTR);
  if (result < 0) return {};
  reaped_ = true;
  ended_at_ = now_ns();
  const auto value = static_cast<uint32_t>(info.si_status);
  return {info.si_code == CLD_EXITED ? End::Kind::kExited : End::Kind::kSignaled, value};
}

}  // namespace boxctl
