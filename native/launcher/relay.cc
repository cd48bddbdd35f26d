#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "job.h"

namespace boxctl {
namespace {

constexpr size_t kPage = 4096;
constexpr int kPipeSize = 1 << 16;
constexpr size_t kMost = 1 << 20;
// The reads of one stream before the other descriptors are handled.
constexpr int kTurns = 32;
constexpr size_t kBuffer = 1 << 16;
// A buffer each for descriptors 0, 1 and 2. The kernel allocates their pages only as they are used.
char input[4096];
char buffers[2][kBuffer];

}  // namespace

// ---- Input ----------------------------------------------------------------------------------------------------------

void Input::start(Fd pipe) {
  pipe_ = std::move(pipe);
  fcntl(pipe_.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
  kind_ = kind_of(STDIN_FILENO);
  if (kind_ == StreamKind::kTerminal) own_ = open_again(STDIN_FILENO, O_RDONLY);
  // Only these can be copied without removing bytes from the caller's input; a terminal or a device cannot.
  const bool lends = kind_ == StreamKind::kPipe || kind_ == StreamKind::kSocket || kind_ == StreamKind::kFile;
  phase_ = lends ? Phase::kFirst : Phase::kFlowing;
  // A pipe of one page becomes writable when the command has read all that was lent.
  if (lends) fcntl(pipe_.get(), F_SETPIPE_SZ, kPage);
}

void Input::add_sources(Poller& poller, bool paused) {
  if (!active()) return;
  const bool waits_for_command = phase_ == Phase::kLent || full_ || pending_ > 0;
  // poll(2) always reports POLLERR: the other end of the pipe was closed.
  poller.add<&Input::on_pipe>(pipe_.get(), waits_for_command ? POLLOUT : 0, *this);
  if (waits_for_command || (paused && kind_ == StreamKind::kTerminal)) return;
  poller.add<&Input::on_caller>(STDIN_FILENO, POLLIN, *this);
}

void Input::on_pipe(short happened) {
  if (!active()) return;
  if (happened & POLLERR) return finish();
  if (!(happened & POLLOUT)) return;
  full_ = false;
  if (phase_ == Phase::kLent) {
    take(lent_);
    phase_ = Phase::kFlowing;
    fcntl(pipe_.get(), F_SETPIPE_SZ, kPipeSize);
    return;
  }
  if (pending_ > 0) return flush();
  flow();
}

void Input::on_caller(short) {
  if (!active()) return;
  if (phase_ == Phase::kFirst) return lend();
  flow();
}

// Copies one page to the command, and leaves it in the caller's input.
void Input::lend() {
  ssize_t size = -1;
  if (kind_ == StreamKind::kPipe) {
    size = tee(STDIN_FILENO, pipe_.get(), kPage, SPLICE_F_NONBLOCK);
  } else {
    const off_t at = kind_ == StreamKind::kFile ? lseek(STDIN_FILENO, 0, SEEK_CUR) : 0;
    size = kind_ == StreamKind::kFile ? pread(STDIN_FILENO, input, sizeof input, at)
                                      : recv(STDIN_FILENO, input, sizeof input, MSG_PEEK | MSG_DONTWAIT);
    if (size > 0) size = write(pipe_.get(), input, static_cast<size_t>(size));
  }
  if (would_block(size)) return;
  if (size <= 0) return pipe_.reset();
  lent_ = static_cast<size_t>(size);
  phase_ = Phase::kLent;
}

// Removes from the caller's input what the command has read of the page that was lent.
void Input::take(size_t size) {
  lent_ = 0;
  if (kind_ == StreamKind::kFile) {
    lseek(STDIN_FILENO, static_cast<off_t>(size), SEEK_CUR);
    return;
  }
  while (size > 0) {
    const size_t piece = size < sizeof input ? size : sizeof input;
    const ssize_t got =
        kind_ == StreamKind::kPipe ? read(STDIN_FILENO, input, piece) : recv(STDIN_FILENO, input, piece, MSG_DONTWAIT);
    if (got <= 0) return;
    size -= static_cast<size_t>(got);
  }
}

void Input::flow() {
  for (int turn = 0; turn < kTurns && active() && !full_; turn++) {
    if (!(kind_ == StreamKind::kPipe ? splice_some() : copy_some())) return;
  }
}

// False: nothing more can be done now.
bool Input::splice_some() {
  const ssize_t size = splice(STDIN_FILENO, nullptr, pipe_.get(), nullptr, kMost, SPLICE_F_NONBLOCK);
  if (size > 0) return true;
  if (!would_block(size)) {
    pipe_.reset();
    return false;
  }
  // If there is something to read, it is the pipe that has no room.
  pollfd readable = {STDIN_FILENO, POLLIN, 0};
  full_ = poll(&readable, 1, 0) > 0;
  return false;
}

bool Input::copy_some() {
  const ssize_t size = read_some(input, sizeof input);
  if (would_block(size)) return false;
  if (size <= 0) {
    pipe_.reset();
    return false;
  }
  pending_ = static_cast<size_t>(size);
  at_ = 0;
  flush();
  return pending_ == 0 && kind_ != StreamKind::kTerminal && kind_ != StreamKind::kOther;
}

ssize_t Input::read_some(char* bytes, size_t size) {
  if (kind_ == StreamKind::kSocket) return recv(STDIN_FILENO, bytes, size, MSG_DONTWAIT);
  if (kind_ != StreamKind::kTerminal) return read(STDIN_FILENO, bytes, size);
  // If the job is in the background, SIGTTIN stops it, as it stops any program that reads the terminal.
  const Stoppable stoppable(SIGTTIN);
  return read(own_.valid() ? own_.get() : STDIN_FILENO, bytes, size);
}

void Input::flush() {
  const ssize_t wrote = write(pipe_.get(), input + at_, pending_);
  if (would_block(wrote)) return;
  if (wrote <= 0) return finish();
  at_ += static_cast<size_t>(wrote);
  pending_ -= static_cast<size_t>(wrote);
}

size_t Input::unread() const {
  int size = 0;
  return ioctl(pipe_.get(), FIONREAD, &size) == 0 && size > 0 ? static_cast<size_t>(size) : 0;
}

void Input::finish() {
  if (!active()) return;
  const size_t rest = unread();
  if (phase_ == Phase::kLent) {
    take(lent_ - (rest < lent_ ? rest : lent_));
  } else if (kind_ == StreamKind::kFile) {
    lseek(STDIN_FILENO, -static_cast<off_t>(rest + pending_), SEEK_CUR);
  }
  pipe_.reset();
}

// ---- Output ---------------------------------------------------------------------------------------------------------

void Output::start(Fd pipe, int target) {
  pipe_ = std::move(pipe);
  target_.start(target);
  buffer_ = buffers[target - 1];
  fcntl(pipe_.get(), F_SETFL, O_RDONLY | O_NONBLOCK);
  splices_ = target_.kind() == StreamKind::kPipe || target_.kind() == StreamKind::kFile;
}

void Output::add_sources(Poller& poller) {
  if (!active()) return;
  // poll(2) always reports POLLERR: the reader has closed its end.
  poller.add<&Output::on_target>(target_.fd(), blocked_ ? POLLOUT : 0, *this);
  if (!blocked_) poller.add<&Output::on_pipe>(pipe_.get(), POLLIN, *this);
}

void Output::on_target(short happened) {
  if (!active()) return;
  if (happened & (POLLERR | POLLHUP | POLLNVAL)) return stop();
  if (!(happened & POLLOUT)) return;
  blocked_ = false;
  carry();
}

void Output::on_pipe(short) { carry(); }

void Output::carry() {
  for (int turn = 0; turn < kTurns && active() && !blocked_; turn++) {
    if (!move()) return;
  }
}

bool Output::advance() {
  while (active() && !blocked_ && move()) {
  }
  return active() && blocked_;
}

void Output::stop() {
  pipe_.reset();
  pending_ = 0;
  blocked_ = false;
}

// False: nothing more can be done now.
bool Output::move() { return splices_ ? splice_some() : copy_some(); }

bool Output::splice_some() {
  const ssize_t size = splice(pipe_.get(), nullptr, target_.fd(), nullptr, kMost, SPLICE_F_NONBLOCK);
  if (size > 0) return true;
  if (size == 0) {
    stop();
    return false;
  }
  if (would_block(size)) {
    int waiting = 0;
    blocked_ = ioctl(pipe_.get(), FIONREAD, &waiting) == 0 && waiting > 0;
    return false;
  }
  // splice(2) fails with EINVAL for a file that is open for appending.
  if (errno != EINVAL) return lose(errno);
  splices_ = false;
  return copy_some();
}

bool Output::copy_some() {
  if (pending_ == 0) {
    const ssize_t size = read(pipe_.get(), buffer_, kBuffer);
    if (size == 0) stop();
    if (size <= 0) return false;
    pending_ = static_cast<size_t>(size);
    at_ = 0;
  }
  const ssize_t wrote = target_.write_some(buffer_ + at_, pending_);
  if (would_block(wrote)) {
    blocked_ = true;
    return false;
  }
  if (wrote < 0) return lose(errno);
  at_ += static_cast<size_t>(wrote);
  pending_ -= static_cast<size_t>(wrote);
  // The rest waits for the next poll(2): a terminal may take only a part of a piece at once.
  blocked_ = pending_ > 0;
  return !blocked_;
}

bool Output::lose(int error) {
  if (error != EPIPE && error != ECONNRESET && target_.kind() != StreamKind::kTerminal) error_ = error;
  stop();
  return false;
}

// ---- All three ------------------------------------------------------------------------------------------------------

bool Relay::add(uint32_t fd, Fd pipe) {
  if (!pipe.valid()) return false;
  if (fd == STDIN_FILENO) {
    in_.start(std::move(pipe));
  } else if (fd == STDOUT_FILENO || fd == STDERR_FILENO) {
    (fd == STDOUT_FILENO ? out_ : err_).start(std::move(pipe), static_cast<int>(fd));
  } else {
    return false;
  }
  return true;
}

bool Relay::uses(int fd) const {
  return fd == STDIN_FILENO ? in_.active() : (fd == STDOUT_FILENO ? out_ : err_).active();
}

void Relay::add_sources(Poller& poller) {
  in_.add_sources(poller, paused_);
  out_.add_sources(poller);
  err_.add_sources(poller);
}

bool Relay::drain() {
  in_.finish();
  const bool out = out_.advance();
  const bool err = err_.advance();
  return out || err;
}

void Relay::abandon() {
  in_.finish();
  out_.stop();
  err_.stop();
}

}  // namespace boxctl
