#include "caller_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "job.h"
#include "streams.h"

namespace boxctl {
namespace {

// What poll(2) promises room for when it calls a pipe writable.
constexpr size_t kWritablePiece = PIPE_BUF;
// What a terminal that is writable takes without blocking.
constexpr size_t kTerminalPiece = 256;

}  // namespace

StreamKind kind_of(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return StreamKind::kOther;
  if (S_ISFIFO(status.st_mode)) return StreamKind::kPipe;
  if (S_ISSOCK(status.st_mode)) return StreamKind::kSocket;
  if (S_ISREG(status.st_mode)) return StreamKind::kFile;
  return is_terminal(fd) ? StreamKind::kTerminal : StreamKind::kOther;
}

Fd open_again(int fd, int flags) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return Fd(open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

bool would_block(ssize_t result) { return result < 0 && (errno == EAGAIN || errno == EINTR); }

void CallerOutput::start(int fd) {
  fd_ = fd;
  kind_ = kind_of(fd);
  if (kind_ == StreamKind::kTerminal) again_ = open_again(fd, O_WRONLY);
}

// Also when the other end has gone: then a write fails at once.
bool CallerOutput::is_writable() const {
  pollfd writable = {fd_, POLLOUT, 0};
  return poll(&writable, 1, 0) > 0;
}

ssize_t CallerOutput::write_some(const char* bytes, size_t size) const {
  if (kind_ == StreamKind::kSocket) return send(fd_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (kind_ == StreamKind::kFile) return write(fd_, bytes, size);
  // In the background, a terminal of the mode `tostop` stops the whole job here, as it does any program.
  const Stoppable stoppable(kind_ == StreamKind::kTerminal ? SIGTTOU : 0);
  if (again_.valid()) return write(again_.get(), bytes, size);
  if (!is_writable()) {
    errno = EAGAIN;
    return -1;
  }
  const size_t most = kind_ == StreamKind::kTerminal ? kTerminalPiece : kWritablePiece;
  return write(fd_, bytes, size < most ? size : most);
}

}  // namespace boxctl
