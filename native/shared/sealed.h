// Files in memory that nobody can change, whoever gets hold of them.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include "fd.h"

namespace boxctl {

constexpr unsigned kMfdExec = 0x10;  // Linux 6.3; without it a warning in the log, or a refusal where that is the rule
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// An empty one, for `kSeals` later. Where it is not valid, errno says why.
inline Fd make_memory(const char* name, unsigned flags) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  long made = call(SYS_memfd_create, name, kFlags | flags);
  // An older kernel knows no flag for programs.
  if (made == -EINVAL && flags != 0) made = call(SYS_memfd_create, name, kFlags);
  return Fd(static_cast<int>(made));
}

// One with these bytes.
inline Fd seal(const char* name, const void* data, size_t size, unsigned flags = 0) {
  Fd file = make_memory(name, flags);
  const char* at = static_cast<const char*>(data);
  for (size_t left = size; left > 0 && file.valid();) {
    const ssize_t wrote = write(file.get(), at, left);
    if (wrote <= 0) return Fd();
    at += wrote;
    left -= static_cast<size_t>(wrote);
  }
  return file.valid() && fcntl(file.get(), F_ADD_SEALS, kSeals) == 0 ? std::move(file) : Fd();
}

}  // namespace boxctl
