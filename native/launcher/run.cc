#include "run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>

#include "calls.h"
#include "events.h"
#include "handover.h"
#include "inside.h"
#include "job.h"
#include "observer.h"
#include "reaper.h"
#include "relay.h"
#include "streams.h"
#include "terminal.h"

namespace boxctl {
namespace {

constexpr long kSysPidfdSendSignal = 424;
constexpr uint32_t kLastSignal = 64;
constexpr size_t kOwnPolls = 5;

// How the setup or the command came to its end.
struct End {
  enum class Kind { kNone, kFailed, kExited, kSignaled } kind = Kind::kNone;
  uint32_t value = 0;
};

class Launcher {
 public:
  Launcher(const Plan& plan, int control) : plan_(plan), control_(control), events_(control) {}

  void run() {
    if (!prepare()) return;
    end_ = set_up();
    if (end_.kind == End::Kind::kNone) end_ = watch();
    finish();
  }

 private:
  bool prepare() {
    context_.slot_count = plan_.slots;
    context_.slots = static_cast<int*>(malloc(sizeof(int) * (plan_.slots + 1)));
    done_ = static_cast<bool*>(calloc(plan_.steps, sizeof(bool)));
    uint8_t random[6];
    if (context_.slots == nullptr || done_ == nullptr || getrandom(random, sizeof random, 0) != sizeof random) {
      return refuse(ENOMEM);
    }
    for (uint32_t i = 0; i < plan_.slots; i++) context_.slots[i] = -1;
    for (size_t i = 0; i < sizeof random; i++) snprintf(context_.id + 2 * i, 3, "%02x", random[i]);

    sigset_t all;
    sigfillset(&all);
    call(SYS_rt_sigprocmask, SIG_SETMASK, nullptr, &context_.sigmask, sizeof context_.sigmask);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    // Its end is seen through the pidfd; without it in the set, orphans that end wake nobody.
    sigdelset(&all, SIGCHLD);
    signals_ = Fd(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    fcntl(control_, F_SETFD, FD_CLOEXEC);
    context_.null = Fd(open("/dev/null", O_RDWR | O_CLOEXEC));
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return (signals_.valid() && context_.null.valid()) || refuse(errno);
  }

  bool refuse(int error) {
    events_.add({Event::kRefused, 0, error, 0, 0, 0});
    events_.flush();
    return false;
  }

  // Makes every step. Nothing but kNone means that the command runs.
  End set_up() {
    for (uint32_t index = 0; index < plan_.steps;) {
      const Step current = step(plan_, index);
      if (current.side == Side::kContainer) {
        events_.flush();
        const End end = hand_over(index);
        if (end.kind != End::Kind::kNone || started_) return end;
        continue;
      }
      if (current.call.op == Op::kClone3) events_.flush();
      Result result;
      if (!perform_step(context_, events_, current.call, index, result)) {
        return failed(index, static_cast<int>(-result.value), result.detail);
      }
      done_[index] = !result.skipped;
      if (current.call.op == Op::kClone3) {
        if (context_.child == 0) walk_inside(plan_, context_, control_);
        pidfd_ = context_.slots[current.call.returns];
      }
      if (current.call.op == Op::kRecvmsg && current.call.returns == plan_.terminal) {
        terminal_.attach(Fd(std::exchange(context_.slots[plan_.terminal], -1)), plan_.flags & kFlagTerminalStdin);
      }
      index++;
    }
    return {};
  }

  End failed(uint32_t index, int error, uint32_t detail) {
    events_.add({Event::kFailed, index, error, detail, 0, 0});
    events_.flush();
    return {End::Kind::kFailed, 0};
  }

  // Lets the container's side go on from `index`, which becomes the next step of this side.
  End hand_over(uint32_t& index) {
    give_turn(index);
    for (;;) {
      const End interrupted = await_peer();
      if (interrupted.kind != End::Kind::kNone) return interrupted;
      Handover message;
      const long result = receive_handover(context_.peer.get(), message, context_.received);
      if (result == -ECONNRESET) return peer_ended(index);
      if (result != 0) return failed(index, static_cast<int>(-result), 0);
      switch (message.kind) {
        case kTurn:
          if (message.index <= index || message.index > plan_.steps) return failed(index, EPROTO, 0);
          index = message.index;
          return {};
        case kFailure:
          return failed(message.index, message.error, message.detail);
        case kListener:
          if (!observer_.start(std::move(context_.received))) return failed(index, ENOMEM, 0);
          break;
        case kStream:
          if (!relay_.add(message.index, std::move(context_.received))) return failed(index, EPROTO, 0);
          break;
        case kReady: {
          ready_ = true;
          quiet_ = message.index;
          if (!(plan_.flags & kFlagGate)) break;
          events_.add({Event::kGate, message.index, 0, 0, 0, 0});
          events_.flush();
          const End refused = await_go();
          if (refused.kind != End::Kind::kNone) return refused;
          terminal_.start();
          give_turn(message.index);
          break;
        }
        default:
          break;
      }
    }
  }

  void give_turn(uint32_t index) {
    Handover turn;
    turn.kind = kTurn;
    turn.index = index;
    // If the other side has gone, the answer says so.
    send_handover(context_.peer.get(), turn);
  }

  // The handover's socket is closed by a successful execve, and by an end before it.
  End peer_ended(uint32_t index) {
    if (!ready_) {
      const End end = reap(true);
      return failed(index, ECHILD, end.kind == End::Kind::kSignaled ? 128 + end.value : end.value);
    }
    started_ = true;
    terminal_.start();
    for (uint32_t i = quiet_; i + 1 < plan_.steps; i++) events_.add({Event::kDone, i, 0, 0, now_ns(), now_ns()});
    events_.add({Event::kStarted, plan_.steps - 1, 0, static_cast<uint32_t>(context_.child), now_ns(), 0});
    events_.flush();
    return {};
  }

  // Waits until the other side has said something; a signal that asks to end, or the owner's end, ends the waiting.
  End await_peer() {
    for (;;) {
      pollfd polls[] = {{context_.peer.get(), POLLIN, 0},
                        {control(), POLLIN, 0},
                        {signals_.get(), POLLIN, 0},
                        {observer_.fd(), POLLIN, 0}};
      if (poll(polls, 4, -1) < 0 && errno != EINTR) return failed(0, errno, 0);
      if (polls[3].revents != 0) observer_.handle(polls[3].revents);
      if (peer_spoke()) return {};
      if (polls[1].revents != 0) read_order();
      if (polls[2].revents != 0) read_signal();
      if (wanted_ != 0) return {End::Kind::kSignaled, wanted_};
      if (polls[0].revents != 0) return {};
    }
  }

  // Who sends a signal may have seen the command run already: then it is the command's, and its start is told first.
  bool peer_spoke() const {
    pollfd peer = {context_.peer.get(), POLLIN, 0};
    return poll(&peer, 1, 0) > 0;
  }

  End await_go() {
    while (!go_) {
      pollfd polls[] = {{control(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      if (poll(polls, 2, -1) < 0 && errno != EINTR) return failed(0, errno, 0);
      if (polls[0].revents != 0) read_order();
      if (polls[1].revents != 0) read_signal();
      if (wanted_ != 0) return {End::Kind::kSignaled, wanted_};
    }
    return {};
  }

  // The command runs: relay its terminal, pass on signals, and wait for its end.
  End watch() {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    close_unused();
    pass_on_early();
    if (plan_.time_limit != 0 && !set_timer(plan_.time_limit)) {
      // A command without its limit must not go on.
      signal_child(SIGKILL);
    }
    for (;;) {
      pollfd polls[kOwnPolls + Relay::kPolls] = {{pidfd_, POLLIN, 0},
                                                 {control(), POLLIN, 0},
                                                 {signals_.get(), POLLIN, 0},
                                                 {timer_.get(), POLLIN, 0},
                                                 {observer_.fd(), POLLIN, 0}};
      prepare_streams(polls);
      if (poll(polls, kOwnPolls + Relay::kPolls, terminal_.attached() ? terminal_.wait_ms() : -1) < 0 && errno != EINTR)
        break;
      if (polls[3].revents != 0) read_timer();
      if (polls[4].revents != 0) observer_.handle(polls[4].revents);
      if (polls[1].revents != 0) read_order();
      if (polls[2].revents != 0) read_signal();
      handle_streams(polls);
      if (polls[0].revents != 0) break;
    }
    terminal_.drain();
    return reap(true);
  }

  using StreamPolls = pollfd (&)[Relay::kPolls];

  void prepare_streams(pollfd* polls) const {
    auto& streams = reinterpret_cast<StreamPolls>(polls[kOwnPolls]);
    for (pollfd& stream : streams) stream = {-1, 0, 0};
    if (plan_.terminal == kNoSlot) {
      relay_.prepare(streams);
    } else {
      terminal_.prepare(reinterpret_cast<pollfd(&)[2]>(streams));
    }
  }

  void handle_streams(pollfd* polls) {
    auto& streams = reinterpret_cast<StreamPolls>(polls[kOwnPolls]);
    if (plan_.terminal == kNoSlot) {
      relay_.handle(streams);
    } else if (terminal_.attached()) {
      terminal_.handle(reinterpret_cast<pollfd(&)[2]>(streams));
      // A first process without a handler does not see the signal that the kernel sends for it.
      if (terminal_.hung_up()) hang_up(SIGHUP);
    }
  }

  // The command has ended, and everything that it left: what it wrote must still arrive. The reader may take its time;
  // whoever cannot wait ends boxctl as he would have ended the command.
  void deliver_rest() {
    wanted_ = 0;
    while (relay_.drain() && wanted_ == 0) {
      pollfd polls[kOwnPolls + Relay::kPolls] = {
          {-1, 0, 0}, {control(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
      prepare_streams(polls);
      if (poll(polls, kOwnPolls + Relay::kPolls, -1) < 0 && errno != EINTR) return;
      if (polls[1].revents != 0) read_order();
      if (polls[2].revents != 0) read_signal();
      handle_streams(polls);
    }
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
      if (relay_.error(fd) != 0)
        events_.add({Event::kOutputLost, static_cast<uint32_t>(fd), relay_.error(fd), 0, 0, 0});
    }
  }

  // -1 is skipped by poll(2): an owner that has gone has nothing more to say.
  int control() const { return owner_gone_ ? -1 : control_; }

  void read_order() {
    Order order;
    const ssize_t size = recv(control_, &order, sizeof order, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size != sizeof order) {
      // The container dies with its owner.
      owner_gone_ = true;
      terminal_.abandon();
      relay_.abandon();
      wanted_ = SIGKILL;
      signal_child(SIGKILL);
      return;
    }
    if (order.kind == kOrderGo) go_ = true;
    if (order.kind == kOrderSignal) take_signal(order.value);
  }

  void read_signal() {
    signalfd_siginfo info;
    if (read(signals_.get(), &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo == SIGIO && info.ssi_code > 0) {
      // Somebody wants to write to an archive that is mounted, and waits for its lease to be given up.
      if (!lease_broken_) events_.add({Event::kLeaseBroken, 0, 0, 0, 0, 0});
      lease_broken_ = true;
      wanted_ = SIGKILL;
      signal_child(SIGKILL);
      return;
    }
    // Our own writing to nobody, whose error has told of it.
    if (info.ssi_signo == SIGPIPE && info.ssi_pid == static_cast<uint32_t>(getpid())) return;
    const bool by_kernel = info.ssi_code == SI_KERNEL;
    switch (info.ssi_signo) {
      case SIGWINCH:
        if (terminal_.attached()) terminal_.resize();
        if (terminal_.attached() || by_kernel) return;
        break;
      case SIGTSTP:
      case SIGTTIN:
      case SIGTTOU:
      case SIGCONT:
        return take_signal(info.ssi_signo);
      default:
        break;
    }
    // What the terminal sends to the whole process group has reached the owner too, who passes it on.
    if (!by_kernel) take_signal(info.ssi_signo);
  }

  void take_signal(uint32_t signal) {
    if (signal < 1 || signal > kLastSignal) return;
    if (started_ && !reaped_) return pass_on(signal);
    switch (signal) {
      case SIGINT:
      case SIGTERM:
      case SIGHUP:
      case SIGQUIT:
      case SIGKILL:
        wanted_ = signal;
        return;
      case SIGCHLD:
      case SIGWINCH:
        return;
      case SIGCONT:
      case SIGTSTP:
      case SIGTTIN:
      case SIGTTOU:
        pause_early_ = signal != SIGCONT;
        return;
      default:
        // The command gets it when it runs.
        early_ |= 1ULL << (signal - 1);
    }
  }

  void pass_on(uint32_t signal) {
    switch (signal) {
      case SIGTERM:
        return stop(plan_.stop_signal);
      case SIGHUP:
      case SIGQUIT:
        return hang_up(signal);
      case SIGTSTP:
      case SIGTTIN:
      case SIGTTOU:
        return pause();
      case SIGCONT:
        return resume();
      case SIGWINCH:
        return terminal_.attached() ? terminal_.resize() : signal_child(signal);
      case SIGCHLD:
        return;
      default:
        signal_child(signal);
    }
  }

  static bool terminal_is_gone() {
    termios settings;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
      if (is_terminal(fd) && tcgetattr(fd, &settings) != 0) return true;
    }
    return false;
  }

  void pass_on_early() {
    for (uint32_t signal = 1; signal <= kLastSignal; signal++) {
      if (early_ >> (signal - 1) & 1) signal_child(signal);
    }
    if (pause_early_) pause();
  }

  // boxctl is stopped as a job, and the container with it.
  void pause() {
    terminal_.pause();
    relay_.pause(true);
    stopped_.stop(context_.child);
  }

  void resume() {
    if (!stopped_.stopped()) signal_child(SIGCONT);
    stopped_.resume();
    relay_.pause(false);
    if (terminal_.attached()) terminal_.resume();
  }

  // The process that became the command: the plan's forks leave a reaper in each process before it.
  pid_t command() const {
    pid_t pid = context_.child;
    for (uint32_t index = 0; index < plan_.steps && pid > 0; index++) {
      const Step current = step(plan_, index);
      if (current.side == Side::kContainer && current.call.op == Op::kFork) pid = eldest_child(pid);
    }
    return pid;
  }

  // What a closed terminal sends. A first process without a handler does not see it, and would stay for ever; one with
  // a handler has been told, and may have another use for it (to read its configuration again), unless the terminal has
  // gone indeed.
  void hang_up(uint32_t signal) {
    const pid_t told = command();
    const bool heard = told > 0 && handles_signal(told, static_cast<int>(signal)) && !terminal_is_gone();
    if (heard) return signal_child(signal);
    stop(signal);
  }

  // One timer serves both: first for the command's time, then for its grace.
  bool set_timer(uint64_t ms) {
    if (!timer_.valid()) timer_ = Fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    itimerspec value = {};
    value.it_value.tv_sec = static_cast<time_t>(ms / 1000);
    value.it_value.tv_nsec = static_cast<long>(ms % 1000 * 1'000'000);
    return timerfd_settime(timer_.get(), 0, &value, nullptr) == 0;
  }

  void read_timer() {
    uint64_t count;
    if (read(timer_.get(), &count, sizeof count) != sizeof count) return;
    if (!stopping_) {
      events_.add({Event::kTimeLimit, 0, 0, 0, 0, 0});
      stop(plan_.stop_signal);
    } else {
      kill_late();
    }
  }

  // What `docker stop` does: the command is asked to end, and killed when it has had its time for that.
  void stop(uint32_t signal) {
    // Who is stopped hears nothing.
    stopped_.resume();
    signal_child(signal);
    if (stopping_) return;
    stopping_ = true;
    asked_by_ = signal;
    if (plan_.grace == 0 || !set_timer(plan_.grace)) kill_late();
  }

  void kill_late() {
    events_.add({Event::kGraceOver, 0, 0, asked_by_, 0, 0});
    signal_child(SIGKILL);
  }

  void signal_child(uint32_t signal) {
    if (pidfd_ >= 0) call(kSysPidfdSendSignal, pidfd_, signal, nullptr, 0);
  }

  End reap(bool wait) {
    if (pidfd_ < 0 || reaped_) return {};
    siginfo_t info = {};
    long result;
    do result = call(SYS_waitid, P_PIDFD, pidfd_, &info, WEXITED | (wait ? 0 : WNOHANG), nullptr);
    while (result == -EINTR);
    if (result < 0 || info.si_pid == 0) return {};
    reaped_ = true;
    const auto value = static_cast<uint32_t>(info.si_status);
    return {info.si_code == CLD_EXITED ? End::Kind::kExited : End::Kind::kSignaled, value};
  }

  // Descriptors that only the container's side used, and the command's own, would otherwise live on here.
  void close_unused() {
    auto* keep = static_cast<bool*>(calloc(plan_.slots + 1, sizeof(bool)));
    if (keep == nullptr) return;
    const auto mark = [&](uint64_t slot) {
      if (slot < plan_.slots) keep[slot] = true;
    };
    for (uint32_t index = 0; index < plan_.steps; index++) {
      const Step current = step(plan_, index);
      if (current.call.op == Op::kClone3) mark(current.call.returns);
      const uint8_t* at = current.undo;
      for (uint16_t u = 0; u < current.undos; u++) {
        const Call undo = next_call(plan_, at);
        for (size_t i = 0; i < undo.count; i++) {
          if (signature(undo.op)[i] == 'f') mark(undo.args[i].number);
        }
      }
    }
    const uint8_t* at = plan_.reports_at;
    for (uint32_t i = 0; i < plan_.reports; i++) mark(next_report(plan_, at).dirfd);
    for (uint32_t i = 0; i < plan_.slots; i++) {
      if (!keep[i] && context_.slots[i] >= 0) Fd(std::exchange(context_.slots[i], -1));
    }
    // A flock lives as long as its descriptor does: the record's is kept through its undo.
    free(keep);
    if (terminal_.attached()) return;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
      if (!relay_.uses(fd)) dup2(context_.null.get(), fd);
    }
  }

  void finish() {
    terminal_.restore();
    if (!reaped_) {
      signal_child(SIGKILL);
      reap(true);
    }
    kill_children();
    if (started_) {
      send_reports();
      observer_.report(events_);
    }
    undo();
    if (started_) deliver_rest();
    if (end_.kind == End::Kind::kExited) events_.add({Event::kExited, 0, 0, end_.value, 0, 0});
    if (end_.kind == End::Kind::kSignaled) events_.add({Event::kSignaled, 0, 0, end_.value, 0, 0});
    events_.flush();
  }

  void undo() {
    for (uint32_t index = plan_.steps; index-- > 0;) {
      if (!done_[index]) continue;
      const Step current = step(plan_, index);
      const uint8_t* at = current.undo;
      for (uint16_t u = 0; u < current.undos; u++) {
        const Result result = perform(context_, next_call(plan_, at));
        const auto error = static_cast<int32_t>(result.value < 0 ? -result.value : 0);
        events_.add({Event::kUndo, index, error, 0, 0, 0});
      }
    }
  }

  void send_reports() {
    const uint8_t* at = plan_.reports_at;
    for (uint32_t i = 0; i < plan_.reports; i++) {
      const Report report = next_report(plan_, at);
      uint64_t value = 0;
      const long result = read_report_value(report, value);
      events_.add({Event::kReport, i, static_cast<int32_t>(-result), 0, value, 0});
    }
  }

  // The number alone in the file, or after the key at the start of a line.
  long read_report_value(const Report& report, uint64_t& value) {
    const int dirfd = context_.slots[report.dirfd];
    if (dirfd < 0) return -ENOENT;
    const Fd file(openat(dirfd, report.file.data, O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return -errno;
    char text[4096];
    const ssize_t size = read(file.get(), text, sizeof text - 1);
    if (size < 0) return -errno;
    text[size] = '\0';
    for (char* line = text; line != nullptr; line = strchr(line, '\n')) {
      if (*line == '\n') line++;
      if (strncmp(line, report.key.data, report.key.size) != 0) continue;
      const char* number = line + report.key.size;
      if (report.key.size > 0 && *number != ' ') continue;
      char* end = nullptr;
      value = strtoull(number, &end, 10);
      return end == number ? -EBADMSG : 0;
    }
    return -ENODATA;
  }

  const Plan& plan_;
  const int control_;
  Events events_;
  Context context_;
  Terminal terminal_;
  Relay relay_;
  Observer observer_;
  Fd signals_;
  Fd timer_;
  bool* done_ = nullptr;
  End end_;
  int pidfd_ = -1;
  bool ready_ = false;
  uint32_t quiet_ = 0;  // the first step that the container's side did not tell of
  bool started_ = false;
  bool reaped_ = false;
  bool go_ = false;
  bool owner_gone_ = false;
  bool lease_broken_ = false;
  bool stopping_ = false;
  uint32_t asked_by_ = 0;     // the signal that began its grace period
  uint32_t wanted_ = 0;       // the signal that asks to end
  uint64_t early_ = 0;        // signals that came before the command ran, a bit each
  bool pause_early_ = false;  // boxctl was stopped before the command ran
  StoppedTree stopped_;
};

}  // namespace

void run(const Plan& plan, int control) {
  Launcher launcher(plan, control);
  launcher.run();
}

}  // namespace boxctl
