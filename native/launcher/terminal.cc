#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace boxctl {

void Terminal::attach(int master, bool with_input) {
  master_ = master;
  input_ = with_input;
  fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
  resize();
}

void Terminal::start() {
  if (raw_ || !input_ || tcgetattr(STDIN_FILENO, &saved_) != 0) return;
  termios raw = saved_;
  cfmakeraw(&raw);
  raw_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void Terminal::resize() {
  winsize size;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (ioctl(fd, TIOCGWINSZ, &size) != 0) continue;
    ioctl(master_, TIOCSWINSZ, &size);
    return;
  }
}

void Terminal::restore() {
  if (raw_) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
  raw_ = false;
}

void Terminal::abandon() {
  restore();
  master_ = -1;
}

void Terminal::prepare(pollfd (&polls)[2]) const {
  polls[0] = {master_, static_cast<short>(master_ < 0 ? 0 : POLLIN | (pending_ > 0 ? POLLOUT : 0)), 0};
  polls[1] = {input_ && pending_ == 0 && master_ >= 0 ? STDIN_FILENO : -1, POLLIN, 0};
}

void Terminal::handle(const pollfd (&polls)[2]) {
  if (polls[0].revents & POLLOUT) flush_input();
  if (polls[0].revents & (POLLIN | POLLHUP | POLLERR)) {
    if (!copy_output()) master_ = -1;
  }
  if (polls[1].revents != 0 && master_ >= 0) copy_input();
}

void Terminal::drain() {
  while (master_ >= 0 && copy_output()) {
    pollfd more = {master_, POLLIN, 0};
    if (poll(&more, 1, 0) <= 0 || !(more.revents & POLLIN)) break;
  }
}

// False: nobody has the other end any more, or nobody reads ours.
bool Terminal::copy_output() {
  char bytes[16384];
  const ssize_t size = read(master_, bytes, sizeof bytes);
  if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
  for (ssize_t done = 0; done < size;) {
    const ssize_t wrote = write(STDOUT_FILENO, bytes + done, static_cast<size_t>(size - done));
    if (wrote > 0) {
      done += wrote;
    } else if (errno == EAGAIN) {
      pollfd wait = {STDOUT_FILENO, POLLOUT, 0};
      poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

void Terminal::copy_input() {
  const ssize_t size = read(STDIN_FILENO, buffer_, sizeof buffer_);
  if (size > 0) {
    pending_ = static_cast<size_t>(size);
  } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
    // A terminal has no end of file but the character for it, which is what a pipe's end becomes.
    input_ = false;
    termios settings;
    buffer_[0] = tcgetattr(master_, &settings) == 0 ? static_cast<char>(settings.c_cc[VEOF]) : '\x04';
    pending_ = 1;
  }
  flush_input();
}

void Terminal::flush_input() {
  const ssize_t wrote = write(master_, buffer_, pending_);
  if (wrote <= 0) return;
  pending_ -= static_cast<size_t>(wrote);
  memmove(buffer_, buffer_ + wrote, pending_);
}

}  // namespace boxctl
