// From the bytes of a plan to the end of its container.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "../wire/serve.h"
#include "run.h"

namespace boxctl {

// Reads the plan of `size` bytes behind descriptor kPlanFd, checks every byte of it, and runs it. `size`: less than 0
// is -errno. With a request the plan is changed first as it says (native/wire/serve.h); `patch` are the bytes after it.
// What happens is told over kControlFd. False: the plan was refused.
bool start(long size, const StartRequest* request = nullptr, const uint8_t* patch = nullptr, Served* served = nullptr);

}  // namespace boxctl
