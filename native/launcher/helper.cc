#include "helper.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../shared/syscalls.h"

namespace boxctl {
namespace {

// The bytes of text in one record: they are in the place of its two times.
constexpr size_t kPiece = sizeof(Record::start) + sizeof(Record::end);

struct Pipe {
  Fd reading;
  Fd writing;

  long open(int flags) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | flags) != 0) return -errno;
    reading.reset(ends[0]);
    writing.reset(ends[1]);
    return 0;
  }
};

// The launcher's descriptors that become those of the program.
struct Ends {
  int lifeline;
  int output;
  int ready;
  int failure;  // the new process writes its errno to it if execve(2) fails
};

// The reads of what the program writes before the other descriptors are handled: as much as a pipe holds.
constexpr int kTurns = 64;

// Milliseconds that a process may take to end after it has closed its descriptors.
constexpr int kEndMs = 1000;

// The first descriptor above those that the program gets.
constexpr int kFree = 8;

[[noreturn]] void fail(int pipe, int error) {
  // write(2) fails only if the launcher has ended.
  if (write(pipe, &error, sizeof error) < 0) _exit(126);
  _exit(127);
}

// Runs in the new process, and executes the program.
[[noreturn]] void become(const char* path, char* const* argv, int ready, Ends ends, pid_t parent) {
  int* const all[] = {&ends.lifeline, &ends.output, &ends.ready, &ends.failure};
  for (int* const end : all) {
    const int moved = fcntl(*end, F_DUPFD_CLOEXEC, kFree);
    if (moved < 0) fail(ends.failure, errno);
    *end = moved;
  }
  // In a session of its own, it does not get the signals of the caller's terminal (Ctrl-C), which are for the
  // container.
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // PR_SET_PDEATHSIG sends no signal for a parent that ended before the call.
  if (getppid() != parent) _exit(127);
  dup2(ends.lifeline, STDIN_FILENO);
  dup2(ends.output, STDOUT_FILENO);
  dup2(ends.output, STDERR_FILENO);
  dup2(ends.ready, ready);
  call(kSysCloseRange, ready == 3 ? 4U : 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  // The program has a descriptor for each connection.
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  char* environment[] = {nullptr};
  call(SYS_execve, path, argv, environment);
  fail(ends.failure, errno);
}

}  // namespace

bool LastWords::read_from(int fd) {
  char bytes[sizeof bytes_];
  for (int turn = 0; turn < kTurns; turn++) {
    const ssize_t got = read(fd, bytes, sizeof bytes);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    keep(bytes, static_cast<size_t>(got));
  }
  return true;
}

void LastWords::keep(const char* bytes, size_t size) {
  const size_t room = sizeof bytes_ - size_;
  if (size > room) {
    const size_t dropped = size - room;
    memmove(bytes_, bytes_ + dropped, size_ - dropped);
    size_ -= dropped;
  }
  memcpy(bytes_ + size_, bytes, size);
  size_ += size;
}

void LastWords::tell(Events& events, uint32_t step) const {
  for (size_t at = 0; at < size_; at += kPiece) {
    Record record = {Event::kHelperSaid, step, 0, 0, 0, 0};
    record.value = static_cast<uint32_t>(size_ - at < kPiece ? size_ - at : kPiece);
    memcpy(&record.start, bytes_ + at, record.value);
    events.add(record);
  }
}

long Helper::start(const char* path, char* const* argv, uint64_t ready, uint64_t timeout_ms, uint32_t& detail) {
  if (used()) return -EBUSY;
  if (ready != 1 && ready != 3) return -EINVAL;
  Pipe lifeline;
  Pipe output;
  Pipe readiness;
  Pipe failure;
  for (Pipe* const pipe : {&lifeline, &readiness, &failure}) {
    if (const long error = pipe->open(0); error < 0) return error;
  }
  if (const long error = output.open(0); error < 0) return error;
  if (fcntl(output.reading.get(), F_SETFL, O_NONBLOCK) != 0) return -errno;

  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) return -errno;
  if (pid_ == 0) {
    become(path, argv, static_cast<int>(ready),
           {lifeline.reading.get(), output.writing.get(), readiness.writing.get(), failure.writing.get()}, parent);
  }
  for (Pipe* const pipe : {&output, &readiness, &failure}) pipe->writing.reset();
  int error = 0;
  if (read(failure.reading.get(), &error, sizeof error) == sizeof error) {
    reap();
    return -error;
  }
  pidfd_ = Fd(static_cast<int>(call(kSysPidfdOpen, pid_, 0)));
  lifeline_ = std::move(lifeline.writing);
  output_ = std::move(output.reading);
  long result = pidfd_.valid() ? await_ready(readiness.reading.get(), timeout_ms) : -errno;
  if (result == 0) result = negate(fcntl(pidfd_.get(), F_DUPFD_CLOEXEC, 0));
  if (result >= 0) return result;
  if (result != -ECANCELED) kill(pid_, SIGKILL);
  detail = reap();
  read_output();
  pidfd_.reset();
  return result;
}

long Helper::await_ready(int ready, uint64_t timeout_ms) {
  const uint64_t end = now_ns() + timeout_ms * 1'000'000;
  for (;;) {
    const uint64_t now = now_ns();
    if (now >= end) return -ETIMEDOUT;
    pollfd polls[] = {{ready, POLLIN, 0}, {pidfd_.get(), POLLIN, 0}, {output_.get(), POLLIN, 0}};
    if (poll(polls, 3, static_cast<int>((end - now) / 1'000'000) + 1) < 0 && errno != EINTR) return -errno;
    // A program whose output is not read would block in write(2) when the pipe is full, and never become ready.
    if (polls[2].revents != 0) read_output();
    if (polls[0].revents & POLLIN) return 0;
    if (polls[1].revents != 0) return -ECANCELED;
    // The pipe was closed without a byte. Most likely the program has ended: its pidfd becomes readable a moment later.
    if (polls[0].revents != 0) return poll(&polls[1], 1, kEndMs) > 0 ? -ECANCELED : -EPROTO;
  }
}

uint32_t Helper::reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return 0;
  }
  return static_cast<uint32_t>(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

void Helper::read_output() {
  if (output_.valid() && !words_.read_from(output_.get())) output_.reset();
}

void Helper::watch(Events& events, uint32_t step) {
  events_ = &events;
  step_ = step;
}

void Helper::add_sources(Poller& poller) {
  if (events_ == nullptr) return;
  poller.add<&Helper::on_output>(output_.get(), POLLIN, *this);
  poller.add<&Helper::on_end>(pidfd_.get(), POLLIN, *this);
}

void Helper::on_output(short) { read_output(); }

void Helper::on_end(short) {
  read_output();
  const uint32_t status = reap();
  tell(*events_, step_);
  events_->add({Event::kHelperEnded, step_, 0, status, 0, 0});
  events_->flush();
  release();
}

void Helper::end() const {
  if (pidfd_.valid()) call(kSysPidfdSendSignal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void Helper::release() {
  events_ = nullptr;
  pidfd_.reset();
  output_.reset();
}

}  // namespace boxctl
