#include "checks.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "../shared/birth.h"
#include "../shared/fd.h"
#include "../shared/syscalls.h"

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

long is_on(int fd, uint64_t type) {
  struct statfs status;
  if (fstatfs(fd, &status) != 0) return -errno;
  return static_cast<uint64_t>(status.f_type) == type ? 0 : -EXDEV;
}

long open_process(const char* pid, const char* birth) {
  char* end = nullptr;
  const long number = strtol(pid, &end, 10);
  if (end == pid || *end != '\0' || number <= 1 || number > INT32_MAX) return -EINVAL;
  Fd made(static_cast<int>(syscall(kSysPidfdOpen, number, 0)));
  if (!made.valid()) return -errno;
  // Read after the process is open: a later one of this number has another birth.
  char found[kBirthSize];
  if (!birth_of(static_cast<pid_t>(number), found) || strcmp(found, birth) != 0) return -ESRCH;
  return made.release();
}

}  // namespace boxctl
