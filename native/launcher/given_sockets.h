// Sockets that boxctl was started with, for the command (sd_listen_fds(3)). Their numbers are those of the launcher's
// own descriptors. So they are put at them before anything else is made, and what was there is moved.
#pragma once

#include <stdint.h>

namespace boxctl {

// Of `kept` descriptors from kLauncherFds on, `count` are sockets: the first, or those after `given` where that is one
// of them. They are moved to kFirstSocket and following, all others beyond; `given` and `owner` become their new
// numbers. 0 or -errno.
long place_sockets(uint32_t count, uint32_t kept, int& given, int& owner);

// In the command's process: they stay open when it is executed. -EBADF where there are not so many.
long pass_sockets(uint32_t placed, uint64_t count);

}  // namespace boxctl
