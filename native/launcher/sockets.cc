#include "sockets.h"

#include <sys/socket.h>

#include "../shared/fd.h"
#include "open_files.h"
#include "socket_address.h"

namespace boxctl {
namespace {

// The port that the kernel has chosen for the one address may be in use for the other.
constexpr int kTries = 32;

long bind_to(int fd, const SocketAddress& name) { return call(SYS_bind, fd, &name.any, name.size()); }

// The port of a bound socket, or -errno.
long port_of(int fd) {
  SocketAddress name;
  socklen_t size = sizeof name;
  return getsockname(fd, &name.any, &size) == 0 ? name.port() : -errno;
}

int type_of(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 ? type : 0;
}

// A port that is free for both addresses, or -errno. A socket that is bound cannot be bound again: sockets that are
// closed afterwards find it.
long free_port(int type, const SocketAddress& name, SocketAddress other) {
  // Open until one is found, so that the kernel does not choose the same port again.
  Fd tried[kTries];
  for (Fd& first : tried) {
    first = Fd(socket(name.family(), type | SOCK_CLOEXEC, 0));
    if (!first.valid()) return -errno;
    if (const long error = bind_to(first.get(), name); error != 0) return error;
    const long port = port_of(first.get());
    if (port < 0) return port;
    const Fd second(socket(other.family(), type | SOCK_CLOEXEC, 0));
    const int only = 1;
    if (!second.valid()) return -errno;
    if (other.family() == AF_INET6) setsockopt(second.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    other.set_port(static_cast<uint16_t>(port));
    const long error = bind_to(second.get(), other);
    if (error == 0) return port;
    if (error != -EADDRINUSE) return error;
  }
  return -EADDRINUSE;
}

}  // namespace

long open_socket(uint64_t domain, uint64_t type, uint64_t protocol, bool may_raise) {
  const uint64_t closing = type | SOCK_CLOEXEC;
  const long made = call(SYS_socket, domain, closing, protocol);
  if (made != -EMFILE || !may_raise) return made;
  raise_open_files();
  return call(SYS_socket, domain, closing, protocol);
}

long set_option(int fd, uint64_t level, uint64_t option, uint64_t value) {
  const int number = static_cast<int>(static_cast<uint32_t>(value));
  return call(SYS_setsockopt, fd, level, option, &number, sizeof number);
}

long bind_address(int fd, uint64_t family, uint64_t port, const char* address) {
  SocketAddress name;
  if (family != AF_INET && family != AF_INET6) return -EAFNOSUPPORT;
  if (port > 0xffff || !parse_host(address, name) || name.family() != static_cast<int>(family)) return -EINVAL;
  name.set_port(static_cast<uint16_t>(port));
  return bind_to(fd, name);
}

long bind_free(int fd, const char* address, int other, const char* other_address) {
  SocketAddress name;
  SocketAddress second;
  if (!parse_host(address, name)) return -EINVAL;
  if (other >= 0) {
    if (!parse_host(other_address, second)) return -EINVAL;
    const long port = free_port(type_of(fd), name, second);
    if (port < 0) return port;
    name.set_port(static_cast<uint16_t>(port));
    second.set_port(static_cast<uint16_t>(port));
    if (const long error = bind_to(other, second); error != 0) return error;
  }
  const long error = bind_to(fd, name);
  return error != 0 ? error : port_of(fd);
}

}  // namespace boxctl
