// What Node does while a container runs (src/launcher/launch.ts, src/container/signals.ts, native/addon/signals.cc).
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "running.h"

namespace boxctl {
namespace {

// The third SIGINT or SIGTERM becomes SIGKILL: a first process without a handler does not get them.
constexpr int kKillsAt = 3;
// More is lost: it is wanted for words at the end, of which the last are as good.
constexpr size_t kMostRecords = 1 << 16;

// As the caller of this process may have set.
bool is_ignored(int signal) {
  // The kernel's structure: handler, flags, restorer, mask.
  unsigned long action[4] = {};
  return call(SYS_rt_sigaction, signal, nullptr, action, 8) == 0 && action[0] == 1;  // SIG_IGN
}

class Follower {
 public:
  Follower(const Kept& kept, const Launch& launch, int signals, const Teller& teller)
      : kept_(kept), launch_(launch), signals_(signals), teller_(teller), ignores_hangup_(is_ignored(SIGHUP)) {}

  Result run() {
    for (;;) {
      pollfd sources[] = {{launch_.socket.get(), POLLIN, 0}, {signals_, POLLIN, 0}};
      const bool waits = started_ && !told_ && kept_.command == nullptr && !kept_.in_background();
      const int ready = poll(sources, 2, waits ? kRunningDelayMs : -1);
      if (ready < 0 && errno != EINTR) break;
      if (ready <= 0) sources[0].revents = sources[1].revents = 0;
      if (ready == 0 && waits) {
        running_.make(kept_);
        told_ = true;
      }
      if (sources[1].revents != 0) take_signal();
      if (sources[0].revents != 0 && !take_records()) break;
      if (started_ && !failed_ && kept_.in_background()) return leave();
      if (has_plain_end() && may_leave()) break;
    }
    running_.remove();
    if (telling_ > 0) waitpid(telling_, nullptr, 0);
    if (!has_plain_end() || !may_leave()) waitpid(launch_.pid, nullptr, 0);
    if (failed_ && !started_) result_.course = Course::kNotRun;
    if (has_plain_end()) result_.course = Course::kPlain;
    return static_cast<Result&&>(result_);
  }

 private:
  bool has_plain_end() const { return exited_ && !failed_ && !needs_words_ && swallowed_ <= 0; }

  // What the launcher undoes after it told of the end (STEP_FLAGS.late) need not be waited for, unless it would be
  // killed together with this process: the first one of a process namespace.
  static bool may_leave() { return getpid() != 1; }

  // The launcher still reads what it was told before.
  Result leave() {
    send_order(kOrderDetach, 0);
    shutdown(launch_.socket.get(), SHUT_RDWR);
    result_.course = Course::kLeft;
    return static_cast<Result&&>(result_);
  }

  void send_order(uint32_t kind, uint32_t value) {
    const Order order = {kind, value};
    send(launch_.socket.get(), &order, sizeof order, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  static void say(const char* text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
  }

  void take_signal() {
    signalfd_siginfo info;
    if (read(signals_, &info, sizeof info) != sizeof info) return;
    const uint32_t signal = info.ssi_signo;
    // From a write of this process's own to a pipe without a reader, which has failed as well.
    if (signal == SIGPIPE && info.ssi_code <= 0 && info.ssi_pid == static_cast<uint32_t>(getpid())) return;
    if (signal == SIGINT || signal == SIGTERM) {
      asked_++;
      if (asked_ >= kKillsAt) say("boxctl: the command does not end: killed\n");
      send_order(kOrderSignal, asked_ >= kKillsAt ? SIGKILL : signal);
      if (asked_ == kKillsAt - 1) say("boxctl: the command goes on; once more kills it\n");
      return;
    }
    // As nohup(1) has asked.
    if (signal == SIGHUP && ignores_hangup_) return;
    const bool stops = signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    // The launcher stops the whole job where it needs the terminal: the container is not stopped by that.
    const bool by_launcher = info.ssi_code <= 0 && info.ssi_pid == static_cast<uint32_t>(launch_.pid);
    if (!stops || !by_launcher) send_order(kOrderSignal, signal);
    if (stops) kill(getpid(), SIGSTOP);
  }

  // False at the end.
  bool take_records() {
    char* const buffer = reinterpret_cast<char*>(records_);
    const ssize_t got = recv(launch_.socket.get(), buffer + filled_, sizeof records_ - filled_, 0);
    if (got < 0 && errno == EINTR) return true;
    if (got <= 0) return false;
    filled_ += static_cast<size_t>(got);
    const size_t whole = filled_ / sizeof(Record);
    for (size_t i = 0; i < whole; i++) take(records_[i]);
    if (result_.records.size() > kMostRecords || !result_.records.add(records_, whole)) needs_words_ = true;
    if (helper_ended_) tell_of_helper();
    filled_ -= whole * sizeof(Record);
    memmove(buffer, buffer + whole * sizeof(Record), filled_);
    return true;
  }

  static bool is_of_helper(const Record& record) {
    return record.kind == Event::kHelperSaid || record.kind == Event::kHelperEnded;
  }

  // That a network's program has ended is told at once, by Node: with the records of that, and an end that needs no
  // words.
  void tell_of_helper() {
    helper_ended_ = false;
    List<Record> told;
    Record end = {};
    end.kind = Event::kExited;
    bool fits = true;
    for (const Record& record : result_.records) fits = fits && (!is_of_helper(record) || told.add(record));
    if (telling_ > 0) waitpid(telling_, nullptr, 0);
    telling_ = fits && told.add(end) ? teller_.tell(told) : -1;
    if (telling_ <= 0) {
      needs_words_ = true;
      return;
    }
    size_t kept = 0;
    for (const Record& record : result_.records) {
      if (!is_of_helper(record)) result_.records[kept++] = record;
    }
    result_.records.resize(kept);
  }

  void take(const Record& record) {
    switch (record.kind) {
      case Event::kHelperSaid:
        return;
      case Event::kHelperEnded:
        helper_ended_ = true;
        return;
      case Event::kDone:
      case Event::kSkipped:
        return;
      case Event::kStarted:
        started_ = true;
        return;
      case Event::kUndo:
        needs_words_ = needs_words_ || record.error != 0;
        return;
      case Event::kReport:
        if (record.index >= kept_.header.reports ||
            (record.error == 0 && record.start != 0 && kept_.rules[record.index] != 0)) {
          needs_words_ = true;
        }
        return;
      case Event::kRefusals:
        needs_words_ = needs_words_ || record.start != 0;
        return;
      case Event::kRefusal:
        return take_tally(record);
      case Event::kExited:
        exited_ = true;
        result_.status = record.value;
        return;
      case Event::kFailed:
      case Event::kRefused:
        failed_ = true;
        return;
      default:
        needs_words_ = true;
    }
  }

  // More connections that were let through than no firewall has dropped are told of, and every packet that was refused.
  void take_tally(const Record& record) {
    const auto kind =
        record.index < kept_.header.tallies ? static_cast<TallyKind>(kept_.tallies[record.index]) : TallyKind::kRefused;
    if (kind == TallyKind::kRefused || kind == TallyKind::kDatagrams) needs_words_ = true;
    if (kind == TallyKind::kBegun) swallowed_ += record.error;
    if (kind == TallyKind::kPassed) swallowed_ -= record.error;
  }

  const Kept& kept_;
  const Launch& launch_;
  const int signals_;
  const Teller& teller_;
  pid_t telling_ = -1;
  bool helper_ended_ = false;
  const bool ignores_hangup_;
  Result result_;
  RunningFolder running_;
  bool told_ = false;  // it was written down that the container runs
  int asked_ = 0;
  bool started_ = false;
  bool exited_ = false;
  bool failed_ = false;
  bool needs_words_ = false;
  int64_t swallowed_ = 0;  // connections that a firewall has dropped
  size_t filled_ = 0;
  Record records_[128];
};

}  // namespace

Result follow(const Kept& kept, const Launch& launch, int signals, const Teller& teller) {
  return Follower(kept, launch, signals, teller).run();
}

}  // namespace boxctl
