// Numbers of mount namespaces that are never given again, other than the inodes of /proc/PID/ns (Linux 6.11).
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "fd.h"

namespace boxctl {

// The namespace of a process; 0 where the kernel does not tell.
inline uint64_t mount_namespace_id(pid_t pid) {
  constexpr unsigned long kGetId = _IOR(0xb7, 5, uint64_t);  // NS_GET_MNTNS_ID
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", static_cast<int>(pid));
  const Fd space(open(path, O_RDONLY | O_CLOEXEC));
  uint64_t id = 0;
  return space.valid() && ioctl(space.get(), kGetId, &id) == 0 ? id : 0;
}

}  // namespace boxctl
