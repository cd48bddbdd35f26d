#include "network_namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace boxctl {
namespace {

bool is_same_file(int one, int other) {
  struct stat a;
  struct stat b;
  return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

int NetworkNamespaces::add(int fd) {
  if (!own_.valid()) own_ = Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own_.valid()) return -errno;
  for (size_t i = 0; i < count_; i++) {
    if (is_same_file(others_[i].get(), fd)) return static_cast<int>(i);
  }
  if (count_ == kMost) return -E2BIG;
  others_[count_] = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!others_[count_].valid()) return -errno;
  long result = enter(count_);
  if (result == 0) {
    leave();
  } else if (result == -EPERM) {
    result = openers_[count_].start(fd);
  }
  return result < 0 ? static_cast<int>(result) : static_cast<int>(count_++);
}

void NetworkNamespaces::clear() {
  own_.reset();
  for (Fd& other : others_) other.reset();
  for (SocketOpener& opener : openers_) opener.clear();
  count_ = 0;
}

long NetworkNamespaces::open(int number, int family, int type) {
  const int flags = type | SOCK_NONBLOCK | SOCK_CLOEXEC;
  if (number == kOwn) return call(SYS_socket, family, flags, 0);
  if (static_cast<size_t>(number) >= count_) return -EBADF;
  if (openers_[number].started()) return openers_[number].open(family, flags);
  const long entered = enter(static_cast<size_t>(number));
  if (entered < 0) return entered;
  const long made = call(SYS_socket, family, flags, 0);
  leave();
  return made;
}

long NetworkNamespaces::enter(size_t number) { return call(SYS_setns, others_[number].get(), CLONE_NEWNET); }

void NetworkNamespaces::leave() {
  // Otherwise later sockets and the launcher's undo steps would be in the container's namespace. abort(3) ends the
  // container, too.
  if (call(SYS_setns, own_.get(), CLONE_NEWNET) < 0) abort();
}

}  // namespace boxctl
