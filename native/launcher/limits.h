// Limits that were changed while the container ran (src/state/kept-limits.ts): they hold when it is started again, too.
#pragma once

#include <stdint.h>

namespace boxctl {

// Reads lines of a path, a tab and a value, and writes each value to its file, which must be of a control group. There
// may be no such file as `name`. `detail`: the number of the line that failed. 0 or -errno.
long write_limits(int dirfd, const char* name, uint32_t& detail);

}  // namespace boxctl
