#include "run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>

#include <utility>

#include "../shared/list.h"
#include "../wire/descriptors.h"
#include "calls.h"
#include "ending.h"
#include "events.h"
#include "given_sockets.h"
#include "handover.h"
#include "inside.h"
#include "log.h"
#include "reaper.h"
#include "restart.h"
#include "supervisor.h"
#include "tally.h"

namespace boxctl {
namespace {

// One way through the plan, from its first step to the end of the command. Nothing of it is left for the next one.
class Run {
 public:
  Run(const Plan& plan, Context& context, Events& events, Control& control, int& owner, int signals, bool* done)
      : plan_(plan),
        context_(context),
        events_(events),
        owner_(owner),
        supervisor_(plan, context, events, control, owner, signals),
        done_(done) {
    context_.relay = &supervisor_.network_relay();
    context_.names = &supervisor_.network_names();
    context_.tables = &supervisor_.network_tables();
    context_.addresses = &supervisor_.host_addresses();
  }

  // True: the plan is to be run again, now.
  bool complete(Restarts& restarts) {
    End end = set_up();
    if (end.kind == End::Kind::kNone) {
      close_unneeded(plan_, context_);
      end = supervisor_.watch();
    }
    return finish(end, restarts);
  }

 private:
  // Makes every step. Nothing but kNone means that the command runs.
  End set_up() {
    for (uint32_t index = 0; index < plan_.steps;) {
      const Step current = step(plan_, index);
      if (current.once && done_[index]) {
        index++;
        continue;
      }
      if (current.side == Side::kContainer) {
        events_.flush();
        const End end = hand_over(index);
        if (end.kind != End::Kind::kNone || supervisor_.command().has_started()) return end;
        continue;
      }
      const End end = make(current, index);
      if (end.kind != End::Kind::kNone) return end;
      index++;
    }
    return {};
  }

  // Makes a step of this side.
  End make(const Step& current, uint32_t index) {
    const Call& call = current.call;
    if (End end; index == plan_.outside && (plan_.flags & kFlagHeld) && refused(end)) return end;
    if (call.op == Op::kClone3) events_.flush();
    Result result;
    if (!perform_step(context_, events_, current, index, result)) {
      if (End end; context_.child > 0 && peer_failed(index, end)) return end;
      if (call.op == Op::kSpawnHelper) context_.helper.tell(events_, index);
      return failed(index, result.value, result.detail);
    }
    if (call.op == Op::kSpawnHelper) context_.helper.watch(events_, index);
    done_[index] = !result.skipped;
    if (current.passed && !result.skipped) {
      if (const long error = pass(index, context_.slots[call.returns]); error != 0) return failed(index, error, 0);
    }
    if (call.op == Op::kClone3) {
      if (context_.child == 0) walk_inside(plan_, context_, owner_);
      supervisor_.command().created(context_.child, context_.slots[call.returns]);
    }
    if (call.op == Op::kRecvmsg && call.returns == plan_.terminal) {
      supervisor_.add_terminal(context_.slots.take(plan_.terminal), plan_.flags & kFlagTerminalStdin);
    }
    return {};
  }

  // Gives the container's side, which was made before, the descriptor of step `index`.
  long pass(uint32_t index, int fd) {
    Handover message;
    message.kind = kPassed;
    message.index = index;
    const long error = send_handover(context_.peer.get(), message, fd);
    // If the other side has gone, the answer to its turn says so. ECONNRESET: it has left messages unread.
    return error == -EPIPE || error == -ECONNRESET ? 0 : error;
  }

  // Waits while the owner looks whether the plan is still valid. True: it is not, or there was a signal.
  bool refused(End& end) {
    events_.flush();
    return interrupted(supervisor_.await_go(), end);
  }

  // The container's side may have failed before a step of this side did, which then fails because that has gone.
  bool peer_failed(uint32_t index, End& end) {
    pollfd peer = {context_.peer.get(), POLLIN, 0};
    while (poll(&peer, 1, 0) > 0) {
      Handover message;
      const long result = receive_handover(context_.peer.get(), message, context_.received);
      if (result != 0 || message.kind == kFailure) {
        end =
            result != 0 ? peer_ended(index) : failed(message.index, -static_cast<long>(message.error), message.detail);
        return true;
      }
    }
    return false;
  }

  End failed(uint32_t index, long error, uint32_t detail) {
    events_.add({Event::kFailed, index, static_cast<int32_t>(-error), detail, 0, wall_clock_ms()});
    events_.flush();
    return {End::Kind::kFailed, 0};
  }

  // The setup ended early: waiting failed, or a signal asked for the end.
  bool interrupted(long error, End& end) {
    if (error != 0) {
      end = failed(0, error, 0);
    } else if (supervisor_.wanted() != 0) {
      end = {End::Kind::kSignaled, supervisor_.wanted()};
    }
    return end.kind != End::Kind::kNone;
  }

  // Lets the container's side go on from `index`, which becomes the next step of this side.
  End hand_over(uint32_t& index) {
    give_turn(index);
    for (;;) {
      const uint32_t stop = next_of(Side::kHost, index);
      uint32_t next = stop;
      End end = make_meanwhile(next);
      // The container's side need not wait for its next turn.
      const bool goes_on = next > stop && next < plan_.steps && side_of(plan_, next) == Side::kContainer;
      if (end.kind == End::Kind::kNone && goes_on) give_turn(next);
      if (end.kind == End::Kind::kNone) end = await_turn(index, stop);
      if (end.kind != End::Kind::kNone || supervisor_.command().has_started()) return end;
      index = next;
      if (!goes_on) return {};
    }
  }

  // The first step of a side from `index` on; the number of all steps if there is none.
  uint32_t next_of(Side side, uint32_t index) const {
    while (index < plan_.steps && side_of(plan_, index) != side) index++;
    return index;
  }

  // Makes the steps from `index` on that need not wait for the container's side, which makes its own meanwhile. `index`
  // becomes the first one that is not made.
  End make_meanwhile(uint32_t& index) {
    for (; index < plan_.steps; index++) {
      const Step current = step(plan_, index);
      if (!current.meanwhile) break;
      const End end = make(current, index);
      if (end.kind != End::Kind::kNone) return end;
    }
    return {};
  }

  // Waits until the container's side has made its steps from `index` on, and stops at step `stop`.
  End await_turn(uint32_t index, uint32_t stop) {
    for (;;) {
      End end;
      if (interrupted(supervisor_.await_peer(), end)) return end;
      Handover message;
      const long result = receive_handover(context_.peer.get(), message, context_.received);
      if (result == -ECONNRESET) return peer_ended(index);
      if (result != 0) return failed(index, result, 0);
      switch (message.kind) {
        case kTurn:
          return message.index == stop ? End{} : failed(index, -EPROTO, 0);
        case kFailure:
          return failed(message.index, -static_cast<long>(message.error), message.detail);
        case kListener:
          if (!supervisor_.observer().start(std::move(context_.received))) return failed(index, -ENOMEM, 0);
          break;
        case kStream:
          if (!supervisor_.add_stream(message.index, std::move(context_.received))) return failed(index, -EPROTO, 0);
          break;
        case kReady:
          ready_ = true;
          quiet_ = message.index;
          if ((plan_.flags & kFlagGate) && !pass_gate(message.index, end)) return end;
          break;
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

  // The owner may stop drawing before the command writes to the same terminal, or attach somebody who is to see all of
  // it. Without an owner, which has left the container to the launcher, the gate is open.
  bool pass_gate(uint32_t index, End& end) {
    if (owner_ >= 0) {
      events_.add({Event::kGate, index, 0, 0, 0, 0});
      events_.flush();
      if (interrupted(supervisor_.await_go(), end)) return false;
    }
    supervisor_.terminal().start();
    give_turn(index);
    return true;
  }

  // The handover's socket is closed by a successful execve, and by an end before it.
  End peer_ended(uint32_t index) {
    if (!ready_) {
      const End end = supervisor_.command().reap();
      return failed(index, -ECHILD, end.kind == End::Kind::kSignaled ? 128 + end.value : end.value);
    }
    supervisor_.started();
    if (context_.report != nullptr) context_.report->reset();
    for (uint32_t i = quiet_; i + 1 < plan_.steps; i++)
      events_.add({Event::kDone, i, 0, 0, events_.now(), events_.now()});
    const auto pid = static_cast<uint32_t>(context_.child);
    events_.add({Event::kStarted, plan_.steps - 1, 0, pid, now_ns(), wall_clock_ms()});
    events_.flush();
    return {};
  }

  bool finish(End end, Restarts& restarts) {
    supervisor_.terminal().restore();
    if (!supervisor_.command().reaped()) {
      supervisor_.command().send(SIGKILL);
      supervisor_.command().reap();
    }
    supervisor_.end_execs();
    context_.helper.release();
    kill_children(context_.log->writer());
    supervisor_.network_relay().stop();
    const bool started = supervisor_.command().has_started();
    if (started) {
      send_reports(plan_, context_, events_);
      send_tallies(plan_, context_, events_);
      supervisor_.observer().report(events_);
    }
    undo_steps({.once = false, .late = false});
    if (started) supervisor_.deliver_rest();
    const bool told = supervisor_.told_to_restart();
    const bool again = told || follows(restarts, end);
    if (!again) undo_steps({.once = true, .late = false});
    if (again) undo_steps({.once = false, .late = true});
    if (!again) context_.log->finish(events_);
    const uint64_t at = wall_clock_ms();
    if (end.kind == End::Kind::kExited) events_.add({Event::kExited, 0, 0, end.value, 0, at});
    if (end.kind == End::Kind::kSignaled) events_.add({Event::kSignaled, 0, 0, end.value, 0, at});
    if (!again) {
      events_.flush();
      undo_late();
      return false;
    }
    if (told) restarts.reset();
    const uint32_t delay = told ? 0 : restarts.next(supervisor_.command().life());
    events_.add({Event::kRestarting, restarts.count(), 0, delay, 0, at});
    events_.flush();
    if (told) return true;
    if (!supervisor_.await_restart(delay)) {
      undo_steps({.once = true, .late = false});
      context_.log->finish(events_);
      events_.flush();
      undo_late();
      return false;
    }
    if (supervisor_.told_to_restart()) restarts.reset();
    return true;
  }

  void undo_steps(Undone which) { undo(plan_, context_, events_, done_, which); }

  // The caller need not wait for what is undone now, nor for the end of what it reads from the command.
  void undo_late() {
    supervisor_.close_standard_streams(true);
    undo_steps({.once = false, .late = true});
    undo_steps({.once = true, .late = true});
    events_.flush();
  }

  bool follows(const Restarts& restarts, End end) {
    if (supervisor_.told_to_end()) return false;
    // The process that started it still waits for its first start, and tells why that has failed.
    if (end.kind == End::Kind::kFailed && owner_ >= 0) return false;
    if (supervisor_.hook_failed() && owner_ >= 0) return false;
    return restarts.follow(supervisor_.hook_failed() || supervisor_.command().timed_out() ||
                           end.kind != End::Kind::kExited || end.value != 0);
  }

  const Plan& plan_;
  Context& context_;
  Events& events_;
  int& owner_;
  Supervisor supervisor_;
  bool* const done_;    // by step: it was made, and is to be undone
  bool ready_ = false;  // the command is about to start: the container's side has nothing more to say
  uint32_t quiet_ = 0;  // the first step that the container's side did not tell of
};

// What stays from one run to the next.
class Launcher {
 public:
  Launcher(const Plan& plan, int owner, Served* served, const Target* target)
      : plan_(plan), owner_(owner), served_(served), events_(owner, plan.flags & kFlagTerse), restarts_(plan) {
    if (target != nullptr) {
      context_.target = target->pid;
      memcpy(context_.id, target->id, sizeof context_.id);
    }
    events_.listen(&control_, [](void* control, const Record& event) { static_cast<Control*>(control)->tell(event); });
  }

  void run() {
    if (const long error = prepare(); error != 0) return events_.refuse(static_cast<int>(-error));
    while (run_once()) begin_again();
  }

 private:
  long prepare() {
    if (served_ != nullptr) take_from(*served_);
    context_.slot_count = plan_.slots;
    if (!context_.slots.make(plan_.slots) || !done_.reset(plan_.steps)) return -ENOMEM;
    if (const long error = choose_id(); error != 0) return error;
    for (int i = 0; i < static_cast<int>(plan_.kept_fds); i++) {
      if (fcntl(kLauncherFds + i, F_SETFD, FD_CLOEXEC) != 0) return -errno;
    }
    if ((plan_.flags & kFlagGiven) && plan_.kept_fds > 0) context_.given = kLauncherFds;
    if (plan_.sockets > 0) {
      context_.sockets = plan_.sockets;
      if (const long error = place_sockets(plan_.sockets, plan_.kept_fds, context_.given, owner_); error != 0) {
        return error;
      }
      events_.use(owner_);
    }
    context_.plan = &plan_;
    context_.control = &control_;
    context_.events = &events_;
    context_.log = &log_;
    if (const long error = block_signals(); error != 0) return error;
    fcntl(owner_, F_SETFD, FD_CLOEXEC);
    context_.null = Fd(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!context_.null.valid()) return -errno;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    context_.dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1;
    return 0;
  }

  // From here on signals are read from a descriptor.
  long block_signals() {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    // The command's end is seen through its pidfd. With SIGCHLD in the set, each orphan that ends wakes the launcher:
    // that is for plans whose checks and hooks may leave some in the container (Supervisor::reap_orphans).
    if (plan_.execs == 0) sigdelset(&all, SIGCHLD);
    signals_ = Fd(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    return signals_.valid() ? 0 : -errno;
  }

  void take_from(Served& served) {
    if (plan_.flags & kFlagLean) context_.mounts = served.mounts;
    context_.report = &served.report;
    events_.add({Event::kBegun, 0, 0, static_cast<uint32_t>(getpid()), 0, 0});
  }

  long choose_id() {
    if (context_.target != 0) return 0;
    uint64_t id = plan_.id;
    if (id == 0 && getrandom(&id, 6, 0) != 6) return -EIO;
    snprintf(context_.id, sizeof context_.id, "%012llx", static_cast<unsigned long long>(id));
    return 0;
  }

  bool run_once() {
    Run run(plan_, context_, events_, control_, owner_, signals_.get(), done_.begin());
    return run.complete(restarts_);
  }

  // As it was before the first run, but for what is made once.
  void begin_again() {
    close_run(plan_, context_);
    context_.again = true;
    context_.child = -1;
    context_.peer.reset();
    context_.received.reset();
    context_.link = 0;
    context_.helper = Helper();
    // What is told of the new run must not be looked up in the results of the last one.
    if (events_.folder() >= 0) unlinkat(events_.folder(), "health", 0);
    // The files of /proc that a user's launcher writes to set up a container are root's as long as it is not dumpable.
    if (context_.dumpable) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    events_.begin_run(restarts_.count());
  }

  const Plan& plan_;
  int owner_;
  Served* const served_;  // null: it was started for this plan
  Events events_;
  Control control_;
  Log log_;
  Context context_;
  Restarts restarts_;
  List<bool> done_;
  Fd signals_;
};

}  // namespace

void run(const Plan& plan, int control, Served* served, const Target* target) {
  Launcher launcher(plan, control, served, target);
  launcher.run();
}

}  // namespace boxctl
