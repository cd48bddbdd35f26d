#include "supervisor.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <utility>

#include "proc.h"

namespace boxctl {
namespace {

constexpr uint32_t kLastSignal = 64;
constexpr int kTurnsBeforeStart = 8;

// Where the program's own text begins and ends, by the linker.
extern "C" const char __executable_start[];
extern "C" const char etext[];

constexpr uintptr_t kPage = 4096, kAround = 16 * kPage;
// More than release_memory and what it calls have on the stack.
constexpr uintptr_t kFrame = 1024;

void release(uintptr_t from, uintptr_t to) {
  from = (from + kPage - 1) / kPage * kPage;
  // Where a page is larger, the call fails and nothing is given back.
  if (from < to) call(SYS_madvise, from, to - from, MADV_DONTNEED);
}

// Gives back the pages of the program's file that are mapped from it and not written to: its text and its constants.
// Data that can be written to would be as at the start again, and is left alone.
void release_file(uintptr_t start) {
  const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(start);
  const auto* const pieces = reinterpret_cast<const Elf64_Phdr*>(start + header.e_phoff);
  for (size_t i = 0; i < header.e_phnum; i++) {
    const Elf64_Phdr& piece = pieces[i];
    if (piece.p_type == PT_LOAD && !(piece.p_flags & PF_W)) release(piece.p_vaddr, piece.p_vaddr + piece.p_memsz);
  }
}

// Gives back what the steps have used and waiting does not need: the stack below this function's frame, of which only
// what is mapped is looked at, and what is mapped from the program's file, which comes back from there as it is used.
void release_memory() {
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  release(frame - 64 * kPage, (frame - kFrame) / kPage * kPage);
  // The kernel maps again as much around an address as lies in one mapping and one large piece of the page cache. The
  // code that waits comes before this place (WAITING in native/build.mjs). With another flag, what follows is a mapping
  // of its own.
  const auto start = reinterpret_cast<uintptr_t>(__executable_start);
  const auto end = reinterpret_cast<uintptr_t>(etext);
  const uintptr_t waiting_end = (start / kAround + 1) * kAround;
  if (waiting_end < end) call(SYS_madvise, waiting_end, end - waiting_end, MADV_DONTDUMP);
  release_file(start);
}

}  // namespace

// Everything that the launcher ever waits for, in the order in which it is handled. A part that waits for nothing now
// adds nothing. A new part is one more line here.
void Supervisor::add_sources() {
  poller_.clear();
  observer_.add_sources(poller_);
  poller_.add<&Supervisor::read_order>(owner_, POLLIN, *this);
  poller_.add<&Supervisor::read_signal>(signals_, POLLIN, *this);
  // Before the command runs, nothing is taken from the caller's input.
  if (command_.has_started()) {
    relay_.add_sources(poller_);
    terminal_.add_sources(poller_);
    network_relay_.add_sources(poller_);
    network_names_.add_sources(poller_);
    network_tables_.add_sources(poller_);
    host_addresses_.add_sources(poller_);
    console_.add_sources(poller_);
    log_.add_sources(poller_);
  }
  context_.helper.add_sources(poller_);
  command_.add_sources(poller_);
  health_.add_sources(poller_);
  hooks_.add_sources(poller_);
  control_.add_sources(poller_);
}

bool Supervisor::add_stream(uint32_t fd, Fd pipe) {
  return log_.is_chosen() ? console_.add(fd, std::move(pipe)) : relay_.add(fd, std::move(pipe));
}

void Supervisor::add_terminal(Fd master, bool with_input) {
  if (log_.is_chosen()) return console_.attach(std::move(master), with_input);
  terminal_.attach(std::move(master), with_input);
}

// ---- While the container is set up ----------------------------------------------------------------------------------

long Supervisor::await_peer() {
  while (wanted_ == 0) {
    add_sources();
    poller_.add(context_.peer.get(), POLLIN);
    if (const long error = poller_.wait(); error != 0) return error;
    // Looked at again before signals are handled: a signal that came while the command was executed is the command's,
    // and its sender may have seen it run.
    if (peer_has_message()) return 0;
    poller_.dispatch();
  }
  return 0;
}

bool Supervisor::peer_has_message() const {
  pollfd peer = {context_.peer.get(), POLLIN, 0};
  return poll(&peer, 1, 0) > 0;
}

long Supervisor::await_go() {
  while (!go_ && wanted_ == 0) {
    add_sources();
    if (const long error = poller_.wait(); error != 0) return error;
    poller_.dispatch();
  }
  // Whoever was attached before the word was given has sent the size of his terminal: it takes a turn to accept the
  // connection, and one for each message.
  for (int turn = 0; turn < kTurnsBeforeStart; turn++) {
    add_sources();
    poller_.within(0);
    if (const long error = poller_.wait(); error != 0) return error;
    if (!poller_.has_any()) break;
    poller_.dispatch();
  }
  return 0;
}

// ---- While the command runs -----------------------------------------------------------------------------------------

void Supervisor::started() {
  terminal_.start();
  command_.started();
  context_.inside = command_.inside();
}

// What is to be done before the stop signal.
bool Supervisor::delays_stop() {
  health_.stop();
  return !hook_failed_ && hooks_.start(plan_, context_, events_, kExecPreStop);
}

void Supervisor::advance_execs() {
  health_.advance();
  // It ends with the container, and not for a fault of its own.
  if (told_to_end_ && hooks_.kind() == kExecPostStart) return;
  if (!hooks_.have_ended()) return;
  if (hooks_.kind() == kExecPreStop) return command_.send_stop();
  if (!hooks_.failed()) return;
  hook_failed_ = true;
  command_.stop();
}

void Supervisor::end_execs() {
  health_.stop();
  hooks_.abandon();
}

End Supervisor::watch() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // The next run needs them again.
  if (!terminal_.attached() && !control_.listens()) close_standard_streams(false);
  // A command without its ports must not go on. There is no memory for them.
  if (network_relay_.start() != 0) command_.send(SIGKILL);
  pass_on_early();
  command_.delay_stop(this, [](void* self) { return static_cast<Supervisor*>(self)->delays_stop(); });
  health_.start(plan_, context_, events_, events_.folder());
  hooks_.start(plan_, context_, events_, kExecPostStart);
  // Where the first could not be started, nothing tells of its end.
  advance_execs();
  // It was started again.
  if (owner_ < 0) give_back();
  while (!command_.has_ended()) {
    add_sources();
    if (poller_.wait() != 0) break;
    poller_.dispatch();
    advance_execs();
    const bool worked = network_tables_.has_worked() || host_addresses_.has_worked() || network_relay_.has_rested();
    if (worked && owner_ < 0) give_back();
    if (terminal_.was_hung_up()) command_.hang_up(SIGHUP);
  }
  // As much as can be written at once, before the terminal's mode is put back; the rest by deliver_rest.
  terminal_.drain();
  return command_.reap();
}

void Supervisor::close_standard_streams(bool relayed) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (relayed || !relay_.uses(fd)) dup2(context_.null.get(), fd);
  }
}

void Supervisor::deliver_rest() {
  wanted_ = 0;
  for (;;) {
    const bool streams = relay_.drain();
    const bool terminal = terminal_.drain();
    // The log gives up by itself, and loses nothing because somebody is in a hurry.
    const bool console = console_.drain();
    if (!console && ((!streams && !terminal) || wanted_ != 0)) break;
    add_sources();
    if (poller_.wait() != 0) return;
    poller_.dispatch();
  }
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    const int error = relay_.error(fd);
    if (error != 0) events_.add({Event::kOutputLost, static_cast<uint32_t>(fd), error, 0, 0, 0});
  }
}

bool Supervisor::await_restart(uint64_t ms) {
  Timer timer;
  if (!timer.set(ms)) return false;
  while (!told_to_end_ && !told_to_restart_) {
    add_sources();
    poller_.add(timer.fd(), POLLIN);
    if (poller_.wait() != 0) return false;
    poller_.dispatch();
    if (timer.expired()) break;
  }
  return !told_to_end_;
}

// ---- Orders and signals ---------------------------------------------------------------------------------------------

void Supervisor::read_order(short) {
  Order order;
  const ssize_t size = recv(owner_, &order, sizeof order, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size != sizeof order) return lose_owner();
  if (order.kind == kOrderGo) go_ = true;
  if (order.kind == kOrderDetach) {
    events_.leave_owner();
    close(std::exchange(owner_, -1));
    // The container may run for long now. To give memory back takes longer than it is worth for a short one.
    context_.plan_file.keep_steps(events_.folder(), plan_);
    give_back();
  }
  take_order(order);
}

void Supervisor::give_back() const {
  context_.plan_file.release(plan_);
  release_memory();
}

void Supervisor::take_order(const Order& order) {
  if (order.kind == kOrderSignal) take_signal(order.value);
  if (order.kind == kOrderStop) stop(order.value);
  if (order.kind == kOrderRestart) restart(order.value);
  if (order.kind == kOrderResize) console_.resize(order.value >> 16, order.value & 0xffff);
}

// As SIGTERM, with another time until SIGKILL.
void Supervisor::stop(uint32_t grace) {
  told_to_end_ = true;
  if (!command_.running()) return keep_signal(SIGTERM);
  if (grace == kStopGrace) return command_.stop();
  command_.stop_within(grace);
}

// A container that is just being started is as new as one that is started again.
void Supervisor::restart(uint32_t grace) {
  if (told_to_end_ || !command_.has_started()) return;
  told_to_restart_ = true;
  if (command_.running()) command_.stop_within(grace == kStopGrace ? plan_.grace : grace);
}

// The container dies with its owner.
void Supervisor::lose_owner() {
  owner_ = -1;
  told_to_end_ = true;
  terminal_.abandon();
  relay_.abandon();
  wanted_ = SIGKILL;
  command_.send(SIGKILL);
}

// Another process has opened, for writing, an archive that is mounted. It is blocked until the launcher gives up its
// lease.
void Supervisor::break_lease() {
  if (!lease_broken_) events_.add({Event::kLeaseBroken, 0, 0, 0, 0, 0});
  lease_broken_ = true;
  told_to_end_ = true;
  wanted_ = SIGKILL;
  command_.send(SIGKILL);
}

void Supervisor::read_signal(short) {
  signalfd_siginfo info;
  if (read(signals_, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGIO && info.ssi_code > 0) return break_lease();
  // From the launcher's own write to a pipe without a reader. The write has failed with EPIPE as well.
  if (info.ssi_signo == SIGPIPE && info.ssi_pid == static_cast<uint32_t>(getpid())) return;
  if (info.ssi_signo == SIGCHLD) return reap_orphans();
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
  // What a terminal sends, it sends to the whole process group. The owner gets it too, and passes it on.
  if (!by_kernel) take_signal(info.ssi_signo);
}

// A check or a hook whose process was killed leaves its command to the launcher. The container's first process does not
// end before all others of its namespace are reaped (zap_pid_ns_processes of the kernel), so they are, as they end.
void Supervisor::reap_orphans() {
  const pid_t own[] = {command_.pid(), log_.writer(), health_.pid(), hooks_.pid(), context_.helper.pid()};
  for_numbers(AT_FDCWD, "/proc/thread-self/children", [&own](pid_t pid) {
    for (const pid_t one : own) {
      if (pid == one) return;
    }
    waitpid(pid, nullptr, WNOHANG | __WALL);
  });
}

void Supervisor::take_signal(uint32_t signal) {
  if (signal < 1 || signal > kLastSignal) return;
  if (signal == SIGTERM || signal == SIGKILL || signal == plan_.stop_signal) told_to_end_ = true;
  if (command_.running()) return pass_on(signal);
  keep_signal(signal);
}

// Before the command runs, and after it has ended.
void Supervisor::keep_signal(uint32_t signal) {
  switch (signal) {
    case SIGINT:
    case SIGTERM:
    case SIGHUP:
    case SIGQUIT:
    case SIGKILL:
      told_to_end_ = true;
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
      early_ |= 1ULL << (signal - 1);
  }
}

void Supervisor::pass_on_early() {
  for (uint32_t signal = 1; signal <= kLastSignal; signal++) {
    if (early_ >> (signal - 1) & 1) command_.send(signal);
  }
  if (pause_early_) pause();
}

void Supervisor::pass_on(uint32_t signal) {
  switch (signal) {
    case SIGTERM:
      return command_.stop();
    case SIGHUP:
    case SIGQUIT:
      told_to_end_ |= command_.hang_up(signal);
      return;
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      return pause();
    case SIGCONT:
      return resume();
    case SIGWINCH:
      return terminal_.attached() ? terminal_.resize() : command_.send(signal);
    case SIGCHLD:
      return;
    default:
      command_.send(signal);
  }
}

// boxctl is stopped as a job, and the container with it.
void Supervisor::pause() {
  terminal_.pause();
  relay_.pause(true);
  command_.pause();
}

void Supervisor::resume() {
  command_.resume();
  relay_.pause(false);
  if (terminal_.attached()) terminal_.resume();
}

}  // namespace boxctl
