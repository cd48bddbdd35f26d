// Calls that change nothing, and fail where something is not what it should be.
#pragma once

#include <stdint.h>

namespace boxctl {

// -ENODEV unless the descriptor is this device, of the type in `type` (S_IFCHR, S_IFBLK).
long is_device(int fd, uint64_t type, uint64_t major_number, uint64_t minor_number);
// -EXDEV unless both descriptors are the same place of the same mount.
long is_same_place(int fd, int other);
// -ESTALE unless the file is the one of this identity, as src/image/identity.ts spells it: ctime cannot be set back by
// who writes the file.
long is_same_file(int fd, const char* identity);

// -EXDEV unless the descriptor is on a file system of this type.
long is_on(int fd, uint64_t type);
// The pidfd of a process, or -ESRCH unless it is the one of this birth (birth.h).
long open_process(const char* pid, const char* birth);

}  // namespace boxctl
