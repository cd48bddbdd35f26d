// Addresses of sockets, of IPv4 and IPv6, as the plan writes them: `192.0.2.1:80`, `[2001:db8::1]:80`.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

namespace boxctl {

union SocketAddress {
  sockaddr_in6 v6 = {};
  sockaddr_in v4;
  sockaddr any;

  int family() const { return any.sa_family; }
  socklen_t size() const { return any.sa_family == AF_INET6 ? sizeof v6 : sizeof v4; }
  uint16_t port() const { return ntohs(family() == AF_INET6 ? v6.sin6_port : v4.sin_port); }
  void set_port(uint16_t port) { (family() == AF_INET6 ? v6.sin6_port : v4.sin_port) = htons(port); }
};

// An address in numbers, without brackets; the port becomes 0. False: it is none.
bool parse_host(const char* text, SocketAddress& address);
// False: the text is not an address with a port.
bool parse_address(const char* text, SocketAddress& address);
// The same address and port, and the same interface for a link-local address.
bool is_same(const SocketAddress& one, const SocketAddress& other);

}  // namespace boxctl
