#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace boxctl {
namespace {

// Lets the kernel stop the job for using a terminal that is not its to use (SIGTTIN, SIGTTOU).
class Stoppable {
 public:
  explicit Stoppable(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_UNBLOCK, &set, &before_);
  }
  ~Stoppable() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  Stoppable(const Stoppable&) = delete;
  Stoppable& operator=(const Stoppable&) = delete;

 private:
  sigset_t before_;
};

// Without a terminal of the session's own there is no foreground; a job that nobody can continue is not stopped.
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

void Terminal::resume() {
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

void Terminal::prepare(pollfd (&polls)[2]) const {
  polls[0] = {relays_ ? master_.get() : -1, static_cast<short>(POLLIN | (pending_ > 0 ? POLLOUT : 0)), 0};
  polls[1] = {input_ && pending_ == 0 && relays_ ? STDIN_FILENO : -1, POLLIN, 0};
}

void Terminal::handle(const pollfd (&polls)[2]) {
  if (polls[0].revents & POLLOUT) flush_input();
  if (polls[0].revents & (POLLIN | POLLHUP | POLLERR)) {
    relays_ = copy_output();
  }
  if (polls[1].revents != 0 && relays_) copy_input();
}

void Terminal::drain() {
  while (relays_ && copy_output()) {
    pollfd more = {master_.get(), POLLIN, 0};
    if (poll(&more, 1, 0) <= 0 || !(more.revents & POLLIN)) break;
  }
}

// False: nobody has the other end any more, or nobody reads ours.
bool Terminal::copy_output() {
  char bytes[16384];
  const ssize_t size = read(master_.get(), bytes, sizeof bytes);
  if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
  for (ssize_t done = 0; done < size;) {
    const ssize_t wrote = write(STDOUT_FILENO, bytes + done, static_cast<size_t>(size - done));
    if (wrote > 0) {
      done += wrote;
    } else if (errno == EAGAIN) {
      pollfd wait = {STDOUT_FILENO, POLLOUT, 0};
      poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      // The terminal is hung up, as a person's is whose window is closed: else the command would wait for ever.
      master_.reset();
      return false;
    }
  }
  return true;
}

ssize_t Terminal::read_input() {
  const Stoppable stoppable(SIGTTIN);
  return read(STDIN_FILENO, buffer_, sizeof buffer_);
}

void Terminal::copy_input() {
  const ssize_t size = read_input();
  if (size > 0) {
    pending_ = static_cast<size_t>(size);
  } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
    // A terminal has no end of file but the character for it, which is what a pipe's end becomes.
    input_ = false;
    termios settings;
    buffer_[0] = tcgetattr(master_.get(), &settings) == 0 ? static_cast<char>(settings.c_cc[VEOF]) : '\x04';
    pending_ = 1;
  }
  flush_input();
}

void Terminal::flush_input() {
  const ssize_t wrote = write(master_.get(), buffer_, pending_);
  if (wrote <= 0) return;
  pending_ -= static_cast<size_t>(wrote);
  memmove(buffer_, buffer_ + wrote, pending_);
}

}  // namespace boxctl
