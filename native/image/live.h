// Files that go into containers and come out of them (`boxctl cp`). One process sends a tar, another one takes it.
// Others use the files meanwhile, and those who do may be hostile: nothing is opened but beneath a folder that is held
// open.
#pragma once

#include <stdint.h>

#include "../shared/failure.h"

namespace boxctl::image {

// Sends what `path` leads to in `root` to kOutputFd, as `as`. Ends the process.
[[noreturn]] void send_files(int root, const char* path, const char* as, uint64_t flags);

// Takes the tar of kArchiveFd, compressed or not, to what `path` leads to in `root`. Ends the process.
[[noreturn]] void take_files(int root, const char* path, const char* name, uint64_t flags);

}  // namespace boxctl::image
