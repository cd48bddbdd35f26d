// Modes of terminals. The header's `termios` has more room for control characters than the kernel's, and the speeds
// after them.
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "raw.h"

namespace {

constexpr size_t kControls = 19;

// The kernel's structure (asm-generic/termbits.h).
struct KernelTermios {
  tcflag_t flags[4];  // input, output, control, local
  cc_t line;
  cc_t controls[kControls];
};

}  // namespace

extern "C" {

int tcgetattr(int fd, termios* mode) noexcept {
  KernelTermios kernel = {};
  if (ioctl(fd, TCGETS, &kernel) != 0) return -1;
  *mode = {};
  mode->c_iflag = kernel.flags[0];
  mode->c_oflag = kernel.flags[1];
  mode->c_cflag = kernel.flags[2];
  mode->c_lflag = kernel.flags[3];
  mode->c_line = kernel.line;
  memcpy(mode->c_cc, kernel.controls, kControls);
  mode->c_ispeed = mode->c_ospeed = kernel.flags[2] & CBAUD;
  return 0;
}

int tcsetattr(int fd, int when, const termios* mode) noexcept {
  KernelTermios kernel = {{mode->c_iflag, mode->c_oflag, mode->c_cflag, mode->c_lflag}, mode->c_line, {}};
  memcpy(kernel.controls, mode->c_cc, kControls);
  // TCSANOW, TCSADRAIN and TCSAFLUSH, and the requests for them, are consecutive.
  return ioctl(fd, static_cast<unsigned long>(TCSETS + when), &kernel);
}

void cfmakeraw(termios* mode) noexcept {
  mode->c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  mode->c_oflag &= ~static_cast<tcflag_t>(OPOST);
  mode->c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  mode->c_cflag &= ~static_cast<tcflag_t>(CSIZE | PARENB);
  mode->c_cflag |= CS8;
  mode->c_cc[VMIN] = 1;
  mode->c_cc[VTIME] = 0;
}

pid_t tcgetpgrp(int fd) noexcept {
  pid_t group = -1;
  return ioctl(fd, TIOCGPGRP, &group) == 0 ? group : -1;
}

}  // extern "C"
