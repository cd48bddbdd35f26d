#include "socket_address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

namespace boxctl {
namespace {

// Digits alone, 1 to 65535.
bool parse_port(const char* text, uint16_t& port) {
  if (*text < '1' || *text > '9' || strlen(text) > 5) return false;
  char* end = nullptr;
  const unsigned long value = strtoul(text, &end, 10);
  port = static_cast<uint16_t>(value);
  return *end == '\0' && value <= 65535;
}

}  // namespace

bool parse_host(const char* text, SocketAddress& address) {
  address = {};
  const bool is_ipv6 = strchr(text, ':') != nullptr;
  address.any.sa_family = is_ipv6 ? AF_INET6 : AF_INET;
  if (is_ipv6) return inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1;
  return inet_pton(AF_INET, text, &address.v4.sin_addr) == 1;
}

bool parse_address(const char* text, SocketAddress& address) {
  char host[INET6_ADDRSTRLEN];
  const bool bracketed = *text == '[';
  const char* const start = bracketed ? text + 1 : text;
  const char* const end = strchr(start, bracketed ? ']' : ':');
  if (end == nullptr || static_cast<size_t>(end - start) >= sizeof host) return false;
  memcpy(host, start, static_cast<size_t>(end - start));
  host[end - start] = '\0';
  if (!parse_host(host, address) || bracketed != (address.family() == AF_INET6)) return false;
  if (bracketed && end[1] != ':') return false;
  uint16_t port = 0;
  if (!parse_port(end + (bracketed ? 2 : 1), port)) return false;
  address.set_port(port);
  return true;
}

bool is_same(const SocketAddress& one, const SocketAddress& other) {
  if (one.family() != other.family()) return false;
  if (one.family() == AF_INET) {
    return one.v4.sin_port == other.v4.sin_port && one.v4.sin_addr.s_addr == other.v4.sin_addr.s_addr;
  }
  return one.v6.sin6_port == other.v6.sin6_port && one.v6.sin6_scope_id == other.v6.sin6_scope_id &&
         memcmp(&one.v6.sin6_addr, &other.v6.sin6_addr, sizeof one.v6.sin6_addr) == 0;
}

}  // namespace boxctl
