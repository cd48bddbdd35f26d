#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "../shared/fd.h"

namespace boxctl {

long set_option(int fd, uint64_t level, uint64_t option, uint64_t value) {
  const int number = static_cast<int>(static_cast<uint32_t>(value));
  return call(SYS_setsockopt, fd, level, option, &number, sizeof number);
}

long bind_address(int fd, uint64_t family, uint64_t port, const char* address) {
  if (port > 0xffff) return -EINVAL;
  const in_port_t network_port = htons(static_cast<uint16_t>(port));
  if (family == AF_INET) {
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_port = network_port;
    if (inet_pton(AF_INET, address, &name.sin_addr) != 1) return -EINVAL;
    return call(SYS_bind, fd, &name, sizeof name);
  }
  if (family == AF_INET6) {
    sockaddr_in6 name = {};
    name.sin6_family = AF_INET6;
    name.sin6_port = network_port;
    if (inet_pton(AF_INET6, address, &name.sin6_addr) != 1) return -EINVAL;
    return call(SYS_bind, fd, &name, sizeof name);
  }
  return -EAFNOSUPPORT;
}

}  // namespace boxctl
