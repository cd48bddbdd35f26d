// Reads the host's routes, and writes the addresses that ordinary users' containers must not reach into sets.
#pragma once

#include <stdint.h>

namespace boxctl {

// The protocol of routes to containers (RTPROT_BOXCTL of src/kernel/netlink/route.ts).
constexpr uint8_t kRoutesToContainers = 98;

// Writes them over the socket that owns the table, in place of what the sets have: `sets` are of IPv4 and of IPv6. 0 or
// -errno.
long write_addresses(int socket, const char* table, const char* const (&sets)[2]);

}  // namespace boxctl
