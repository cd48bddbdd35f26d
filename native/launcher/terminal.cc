#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "job.h"
#include "streams.h"

namespace boxctl {
namespace {

// Milliseconds between two looks at whether the end of the input was read: at first, and at most.
constexpr int kFirstWait = 10;
constexpr int kLongestWait = 200;
// From the caller to the terminal, and back. The kernel allocates their pages only as they are used.
char input[4096];
char output[16384];

// Stops the job until it is in the foreground. Without a controlling terminal there is no foreground, and no shell that
// would continue the job.
void await_foreground() {
  const Stoppable stoppable(SIGTTOU);
  for (int attempt = 0; attempt < 1000; attempt++) {
    const pid_t foreground = tcgetpgrp(STDIN_FILENO);
    if (foreground < 0 || foreground == getpgrp()) return;
    kill(0, SIGTTOU);
  }
}

}  // namespace

void Terminal::attach(Fd master, bool with_input) {
  master_ = std::move(master);
  relays_ = true;
  input_ = with_input;
  fcntl(master_.get(), F_SETFL, O_RDWR | O_NONBLOCK);
  target_.start(STDOUT_FILENO);
  resize();
}

void Terminal::start() {
  if (raw_ || !input_) return;
  await_foreground();
  if (tcgetattr(STDIN_FILENO, &saved_) != 0) return;
  raw_mode_ = saved_;
  cfmakeraw(&raw_mode_);
  raw_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw_mode_) == 0;
}

void Terminal::pause() {
  paused_ = true;
  if (raw_) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
}

void Terminal::resume() {
  paused_ = false;
  if (!raw_) return;
  await_foreground();
  tcsetattr(STDIN_FILENO, TCSADRAIN, &raw_mode_);
  resize();
}

void Terminal::resize() {
  winsize size;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (ioctl(fd, TIOCGWINSZ, &size) != 0) continue;
    ioctl(master_.get(), TIOCSWINSZ, &size);
    return;
  }
}

void Terminal::restore() {
  if (raw_) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
  raw_ = false;
}

void Terminal::abandon() {
  restore();
  relays_ = false;
}

void Terminal::add_sources(Poller& poller) {
  if (!relays_) return;
  poller.add<&Terminal::on_timer>(timer_.fd(), POLLIN, *this);
  const bool reads = out_at_ == out_end_;
  const auto events = static_cast<short>((reads ? POLLIN : 0) | (pending_ > 0 ? POLLOUT : 0));
  // With nothing asked for, a hang-up would still be told, again and again.
  if (events != 0) poller.add<&Terminal::on_master>(master_.get(), events, *this);
  if (!reads) poller.add<&Terminal::on_output>(target_.fd(), POLLOUT, *this);
  if (input_ && pending_ == 0 && !paused_) poller.add<&Terminal::on_caller>(STDIN_FILENO, POLLIN, *this);
}

void Terminal::on_master(short happened) {
  if (!relays_) return;
  if (happened & POLLOUT) flush_input();
  if (out_at_ == out_end_ && (happened & (POLLIN | POLLHUP | POLLERR))) relays_ = copy_output();
  // A command that writes may just have read the end of the input, and may ask for it again.
  if (ended_ && relays_) end_input();
}

void Terminal::on_output(short) {
  if (relays_) relays_ = flush_output();
}

void Terminal::on_caller(short) {
  if (relays_) copy_input();
}

void Terminal::on_timer(short) {
  if (timer_.expired() && relays_) end_input();
}

bool Terminal::drain() {
  while (relays_ && out_at_ == out_end_) {
    pollfd more = {master_.get(), POLLIN, 0};
    if (poll(&more, 1, 0) <= 0 || !(more.revents & POLLIN)) return false;
    relays_ = copy_output();
  }
  return relays_;
}

// False: the other end of the pseudo-terminal is closed, or the caller reads no more.
bool Terminal::copy_output() {
  const ssize_t size = read(master_.get(), output, sizeof output);
  if (size <= 0) return would_block(size);
  out_at_ = 0;
  out_end_ = static_cast<size_t>(size);
  return flush_output();
}

// Writes what can be written without blocking. False: the caller reads no more.
bool Terminal::flush_output() {
  while (out_at_ < out_end_) {
    const ssize_t wrote = target_.write_some(output + out_at_, out_end_ - out_at_);
    if (would_block(wrote)) return true;
    if (wrote < 0) {
      // The command's terminal is hung up, as when its window is closed. Otherwise the command would wait for ever.
      hang_up(is_terminal(STDOUT_FILENO));
      return false;
    }
    out_at_ += static_cast<size_t>(wrote);
  }
  return true;
}

void Terminal::hang_up(bool by_terminal) {
  master_.reset();
  relays_ = false;
  hung_up_ = by_terminal;
}

ssize_t Terminal::read_input() {
  const Stoppable stoppable(SIGTTIN);
  return read(STDIN_FILENO, input, sizeof input);
}

void Terminal::copy_input() {
  const ssize_t size = read_input();
  if (size > 0) {
    pending_ = static_cast<size_t>(size);
    last_ = input[size - 1];
  } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
    input_ = false;
    if (is_terminal(STDIN_FILENO)) return hang_up(true);
    ended_ = true;
    return end_input();
  }
  flush_input();
}

// The end of a terminal's input is a character (VEOF). The kernel ends one read by it, and loses it when the mode is
// changed before, as a shell does when it begins to edit a line. So the character is sent again whenever the command
// has read everything. Then each read finds the end, as at the end of a pipe.
void Terminal::end_input() {
  if (pending_ > 0) return;
  const Fd peer(ioctl(master_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  pollfd unread = {peer.get(), POLLIN, 0};
  wait_ = wait_ == 0 ? kFirstWait : wait_ * 2 < kLongestWait ? wait_ * 2 : kLongestWait;
  timer_.set(static_cast<uint64_t>(wait_));
  if (peer.valid() && poll(&unread, 1, 0) > 0) return;
  termios settings = {};
  const bool known = tcgetattr(peer.valid() ? peer.get() : master_.get(), &settings) == 0;
  const bool by_line = !known || (settings.c_lflag & ICANON) != 0;
  // A shell that edits lines itself takes the character for the end only at the start of a line.
  const bool breaks_line = !by_line && last_ != '\n' && last_ != '\r';
  if (breaks_line) last_ = '\n';
  input[0] = breaks_line ? '\r' : known && settings.c_cc[VEOF] != 0 ? static_cast<char>(settings.c_cc[VEOF]) : '\x04';
  pending_ = 1;
  flush_input();
}

void Terminal::flush_input() {
  const ssize_t wrote = write(master_.get(), input, pending_);
  if (wrote <= 0) {
    if (!would_block(wrote)) pending_ = 0;
    return;
  }
  pending_ -= static_cast<size_t>(wrote);
  memmove(input, input + wrote, pending_);
}

}  // namespace boxctl
