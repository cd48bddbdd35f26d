#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <utility>

#include "../shared/list.h"
#include "../shared/syscalls.h"
#include "../wire/descriptors.h"
#include "calls.h"
#include "run.h"

namespace boxctl {
namespace {

// What the process may take beyond the command's time until it is killed: to join the container, and to end.
constexpr uint64_t kSlack = 10'000;
// The reads of what the command writes before the other descriptors are handled.
constexpr int kTurns = 16;
// The first descriptor above those that the process needs.
constexpr int kFree = 8;

// Moves a descriptor out of the way of those that are made next.
int above(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, kFree); }

// Runs in the new process. It has nothing of the launcher's open: no lock, no socket of others, no folder.
[[noreturn]] void become(const PlannedExec& exec, const Context& context, int socket, int output, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != parent) _exit(125);
  const int ends[] = {above(context.null.get()), above(output), above(socket)};
  for (const int end : ends) {
    if (end < 0) _exit(125);
  }
  if (dup2(ends[0], STDIN_FILENO) < 0 || dup2(ends[1], STDOUT_FILENO) < 0 || dup2(ends[1], STDERR_FILENO) < 0 ||
      dup2(ends[2], kControlFd) < 0) {
    _exit(125);
  }
  call(kSysCloseRange, static_cast<unsigned>(kPlanFd), static_cast<unsigned>(kPlanFd), 0U);
  call(kSysCloseRange, static_cast<unsigned>(kLauncherFds), ~0U, 0U);
  // As a launcher is that has just been started. The process that joins the container is hidden from it by its plan.
  if (context.dumpable) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  List<const uint8_t*> places;
  Plan plan;
  if (!places.reset(step_count(exec.plan, exec.size)) || !check(exec.plan, exec.size, places.begin(), plan)) _exit(125);
  const Target target = {context.inside, context.id};
  run(plan, kControlFd, nullptr, &target);
  _exit(0);
}

}  // namespace

bool FirstWords::read_from(int fd) {
  char part[4096];
  for (int turn = 0; turn < kTurns; turn++) {
    const ssize_t got = read(fd, part, sizeof part);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    const auto size = static_cast<size_t>(got);
    const size_t room = kMost - bytes_.size();
    // Without memory for them they are lost.
    bytes_.add(part, size < room ? size : room);
  }
  return true;
}

long Exec::start(const PlannedExec& exec, const Context& context) {
  if (running()) return -EBUSY;
  way_ = Way::kNone;
  asked_ = false;
  // Unless it tells of another end, it was killed.
  status_ = 128 + SIGKILL;
  words_.clear();
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return -errno;
  Fd ours(sockets[0]);
  const Fd theirs(sockets[1]);
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return -errno;
  Fd reading(pipes[0]);
  const Fd writing(pipes[1]);
  if (fcntl(reading.get(), F_SETFL, O_NONBLOCK) != 0) return -errno;
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) become(exec, context, theirs.get(), writing.get(), parent);
  pid_ = pid;
  socket_ = std::move(ours);
  output_ = std::move(reading);
  if (exec.time_limit != 0 && !deadline_.set(exec.time_limit + kSlack)) kill(pid_, SIGKILL);
  return 0;
}

void Exec::add_sources(Poller& poller) {
  if (!running()) return;
  poller.add<&Exec::on_deadline>(deadline_.fd(), POLLIN, *this);
  poller.add<&Exec::on_output>(output_.get(), POLLIN, *this);
  poller.add<&Exec::on_record>(socket_.get(), POLLIN, *this);
}

void Exec::on_output(short) {
  if (output_.valid() && !words_.read_from(output_.get())) output_.reset();
}

// It hangs before its command's time has begun, or after it has ended: the container may be stopped or frozen.
void Exec::on_deadline(short) {
  if (!running() || !deadline_.expired()) return;
  way_ = Way::kTimedOut;
  // First it is asked to end, as by abandon().
  if (std::exchange(asked_, true) || !deadline_.set(kSlack)) kill(pid_, SIGKILL);
  shutdown(socket_.get(), SHUT_WR);
}

void Exec::on_record(short) {
  Record records[128];
  const ssize_t size = recv(socket_.get(), records, sizeof records, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return finish();
  for (size_t i = 0; i < static_cast<size_t>(size) / sizeof *records; i++) take(records[i]);
}

void Exec::take(const Record& record) {
  switch (record.kind) {
    case Event::kFailed:
    case Event::kRefused:
      way_ = Way::kFailed;
      failed_step_ = record.index;
      error_ = record.error;
      return;
    case Event::kTimeLimit:
      way_ = Way::kTimedOut;
      return;
    case Event::kExited:
    case Event::kSignaled:
      status_ = record.kind == Event::kExited ? record.value : 128 + record.value;
      if (way_ == Way::kNone) way_ = Way::kExited;
      return;
    default:
      return;
  }
}

// The socket's other end is closed by the end of the process.
void Exec::finish() {
  on_output(0);
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  if (way_ == Way::kNone) way_ = Way::kExited;
  pid_ = -1;
  socket_.reset();
  output_.reset();
}

// It loses its owner, and so kills its command and reaps it. Were it killed, a process that it has left in the
// container would be the launcher's: the end of the container's process namespace waits until that is reaped
// (pid_namespaces(7)), and the launcher reaps only when the command has ended.
void Exec::abandon() {
  if (!running()) return;
  pid_ = -1;
  socket_.reset();
  output_.reset();
}

}  // namespace boxctl
