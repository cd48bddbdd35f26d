#include "given_sockets.h"

#include <errno.h>
#include <fcntl.h>

#include "../shared/fd.h"
#include "../shared/syscalls.h"
#include "../wire/descriptors.h"

namespace boxctl {

long place_sockets(uint32_t count, uint32_t kept, int& given, int& owner) {
  const int sockets = static_cast<int>(count);
  const int end = kLauncherFds + static_cast<int>(kept);
  const int first = kLauncherFds + (given >= 0 ? 1 : 0);
  static_assert(kFirstSocket < kLauncherFds);
  const auto move = [&](int& fd) {
    fd = fcntl(fd, F_DUPFD_CLOEXEC, end);
    return fd >= 0;
  };
  if (given >= 0 && !move(given)) return -errno;
  for (int fd = first + sockets; fd < end; fd++) {
    if (int lock = fd; !move(lock)) return -errno;
  }
  if (owner >= 0 && !move(owner)) return -errno;
  int aside[kMaxSockets];
  for (int i = 0; i < sockets; i++) {
    aside[i] = first + i;
    if (!move(aside[i])) return -errno;
  }
  for (int i = 0; i < sockets; i++) {
    const Fd socket(aside[i]);
    if (call(SYS_dup3, socket.get(), kFirstSocket + i, O_CLOEXEC) < 0) return -errno;
  }
  return call(kSysCloseRange, static_cast<unsigned>(kFirstSocket + sockets), static_cast<unsigned>(end) - 1, 0U);
}

long pass_sockets(uint32_t placed, uint64_t count) {
  if (count != placed) return -EBADF;
  for (int i = 0; i < static_cast<int>(count); i++) {
    if (fcntl(kFirstSocket + i, F_SETFD, 0) != 0) return -errno;
  }
  return 0;
}

}  // namespace boxctl
