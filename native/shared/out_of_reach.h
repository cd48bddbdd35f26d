// Whether the processes of a container could write to the launcher's file through /proc/PID/exe (CVE-2019-5736).
#pragma once

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fd.h"

namespace boxctl {

// User ids of the host: the first one, and how many.
struct UserRange {
  uint32_t first;
  uint32_t size;
};

// Whether a process that can have these user ids could write to the file, or change who may. It may have every group
// and capability, but a capability holds only for files whose owner is mapped in its user namespace (capabilities(7)).
// Groups are not told apart.
inline bool can_write(const UserRange* ids, size_t count, const struct stat& file) {
  if (file.st_mode & (S_IWGRP | S_IWOTH)) return true;
  for (size_t i = 0; i < count; i++) {
    if (file.st_uid >= ids[i].first && file.st_uid - ids[i].first < ids[i].size) return true;
  }
  return false;
}

// The file, where processes with these user ids cannot write to it: it is executed without a copy, and all launchers
// share its memory. Not valid where they could, or where it cannot be opened; to make a copy then fails with the same
// error.
inline Fd open_out_of_reach(const char* path, const UserRange* ids, size_t count) {
  Fd file(open(path, O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!file.valid() || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return Fd();
  if (can_write(ids, count, status)) return Fd();
  return file;
}

}  // namespace boxctl
