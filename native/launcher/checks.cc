#include "checks.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../shared/fd.h"

namespace boxctl {

long is_device(int fd, uint64_t type, uint64_t major_number, uint64_t minor_number) {
  struct stat status;
  if (fstat(fd, &status) != 0) return -errno;
  const bool same = (status.st_mode & S_IFMT) == type && major(status.st_rdev) == major_number &&
                    minor(status.st_rdev) == minor_number;
  return same ? 0 : -ENODEV;
}

long is_same_place(int fd, int other) {
  struct statx one, two;
  constexpr unsigned kMask = STATX_INO | STATX_MNT_ID;
  const long first = call(SYS_statx, fd, "", AT_EMPTY_PATH, kMask, &one);
  if (first < 0) return first;
  const long second = call(SYS_statx, other, "", AT_EMPTY_PATH, kMask, &two);
  if (second < 0) return second;
  // Before Linux 5.8 the kernel does not say which mounts these are.
  if (!(one.stx_mask & two.stx_mask & STATX_MNT_ID)) return -ENOSYS;
  return one.stx_mnt_id == two.stx_mnt_id && one.stx_ino == two.stx_ino ? 0 : -EXDEV;
}

long is_same_file(int fd, const char* identity) {
  struct stat status;
  if (fstat(fd, &status) != 0) return -errno;
  const auto nanoseconds = [](const timespec& time) {
    return static_cast<long long>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  };
  char own[128];
  snprintf(own, sizeof own, "%llu %llu %lld %lld %lld", static_cast<unsigned long long>(status.st_dev),
           static_cast<unsigned long long>(status.st_ino), static_cast<long long>(status.st_size),
           nanoseconds(status.st_mtim), nanoseconds(status.st_ctim));
  return strcmp(own, identity) == 0 ? 0 : -ESTALE;
}

}  // namespace boxctl
