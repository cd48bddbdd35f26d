// Sockets that are made for a container.
#pragma once

#include <stdint.h>

namespace boxctl {

// Makes a socket. The launcher may need more descriptors than its caller may have open by default: where they are used
// up, `may_raise` lets it have as many as the caller could ask for.
long open_socket(uint64_t domain, uint64_t type, uint64_t protocol, bool may_raise);

// An option that is a whole number (setsockopt(2)).
long set_option(int fd, uint64_t level, uint64_t option, uint64_t value);

// Binds to a port of an Internet address, which is in numbers: EINVAL otherwise.
long bind_address(int fd, uint64_t family, uint64_t port, const char* address);

// Binds to a free port that the kernel chooses, and `other`, where it is 0 or more, to the same port of its own
// address. The port, or -errno.
long bind_free(int fd, const char* address, int other, const char* other_address);

}  // namespace boxctl
