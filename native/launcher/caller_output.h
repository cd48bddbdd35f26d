// One of the caller's descriptors 1 and 2, written to without blocking. Its own flags stay as they are, since others
// share them.
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "../shared/fd.h"

namespace boxctl {

// What a caller's descriptor is, as far as its calls differ.
enum class StreamKind { kPipe, kSocket, kFile, kTerminal, kOther };
StreamKind kind_of(int fd);

// Opens the terminal behind a descriptor a second time, without O_NONBLOCK's being seen through the first one. Not
// valid when this user may not open the terminal that he was given (su(1)).
Fd open_again(int fd, int flags);

// A read or a write has done nothing for now.
bool would_block(ssize_t result);

class CallerOutput {
 public:
  void start(int fd);
  int fd() const { return fd_; }
  StreamKind kind() const { return kind_; }
  // As write(2), with EAGAIN instead of waiting.
  ssize_t write_some(const char* bytes, size_t size) const;

 private:
  bool is_writable() const;

  int fd_ = -1;
  Fd again_;  // the caller's terminal, opened again
  StreamKind kind_ = StreamKind::kOther;
};

}  // namespace boxctl
