#include "files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

#include "../shared/fd.h"
#include "../shared/syscalls.h"
#include "../wire/flags.h"

namespace boxctl {
namespace {

long write_all(int fd, const char* data, size_t size) {
  const long written = negate(write(fd, data, size));
  if (written < 0) return written;
  // Files of /proc and cgroups take a value in one call or not at all.
  return static_cast<size_t>(written) == size ? 0 : -EIO;
}

}  // namespace

uint64_t open_flags(uint64_t flags) {
  // The plan has x86-64's numbers; arm64 has others for these two.
  uint64_t own = flags & ~(kWireDirectory | kWireNofollow);
  if (flags & kWireDirectory) own |= O_DIRECTORY;
  if (flags & kWireNofollow) own |= O_NOFOLLOW;
  return own;
}

long open_at(int dirfd, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  // Nothing may be inherited by accident: a descriptor that is not close-on-exec is a mistake of the planner.
  if (!(flags & O_CLOEXEC)) return -EINVAL;
  open_how how = {};
  how.flags = open_flags(flags);
  how.mode = mode;
  how.resolve = resolve;
  // A rename or a mount anywhere on the host, while ".." of a path or of a link is resolved within a root: the kernel
  // cannot tell it from an attack, and leaves it to the caller to try again.
  constexpr int kMaxTries = 256;
  const bool scoped = (resolve & (RESOLVE_IN_ROOT | RESOLVE_BENEATH)) != 0;
  for (int tries = 1;; tries++) {
    const long result = call(kSysOpenat2, dirfd, path, &how, sizeof how);
    if (result != -EAGAIN || !scoped || tries == kMaxTries) return result;
  }
}

long write_file(int dirfd, const char* path, const char* data) {
  if (*path == '\0') return write_all(dirfd, data, strlen(data));
  const Fd file(static_cast<int>(open_at(dirfd, path, O_WRONLY | O_CLOEXEC, 0, 0)));
  if (!file.valid()) return file.get();
  return write_all(file.get(), data, strlen(data));
}

long expect_file(int dirfd, const char* path, const char* data) {
  const Fd file(static_cast<int>(open_at(dirfd, path, O_RDONLY | O_CLOEXEC, 0, 0)));
  if (!file.valid()) return file.get();
  const char* at = data;
  bool ended = false;  // with the line
  for (;;) {
    char text[4096];
    const long size = negate(read(file.get(), text, sizeof text));
    if (size < 0) return size;
    if (size == 0) return ended ? 0 : -ERANGE;
    for (long i = 0; i < size; i++) {
      if (ended || text[i] != (*at == '\0' ? '\n' : *at)) return -ERANGE;
      if (*at == '\0')
        ended = true;
      else
        at++;
    }
  }
}

long inside_root() {
  char path[4096];
  const long size = call(SYS_getcwd, path, sizeof path);
  if (size < 0) return size;
  return path[0] == '/' ? 0 : -EXDEV;
}

long move_fd(int from, int to, uint64_t flags) {
  // dup3(2) refuses equal numbers (EINVAL). Here they mean that nothing is to be done.
  return from == to ? 0 : call(SYS_dup3, from, to, flags);
}

}  // namespace boxctl
