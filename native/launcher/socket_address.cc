#include "socket_address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

namespace boxctl {
namespace {

// Digits alone, 1 to 65535.
bool parse_port(const char* text, in_port_t& port) {
  if (*text < '1' || *text > '9' || strlen(text) > 5) return false;
  char* end = nullptr;
  const unsigned long value = strtoul(text, &end, 10);
  port = htons(static_cast<uint16_t>(value));
  return *end == '\0' && value <= 65535;
}

}  // namespace

bool parse_address(const char* text, SocketAddress& address) {
  char host[INET6_ADDRSTRLEN];
  const bool bracketed = *text == '[';
  const char* const start = bracketed ? text + 1 : text;
  const char* const end = strchr(start, bracketed ? ']' : ':');
  if (end == nullptr || static_cast<size_t>(end - start) >= sizeof host) return false;
  memcpy(host, start, static_cast<size_t>(end - start));
  host[end - start] = '\0';
  address = {};
  if (!bracketed) {
    address.v4.sin_family = AF_INET;
    return inet_pton(AF_INET, host, &address.v4.sin_addr) == 1 && parse_port(end + 1, address.v4.sin_port);
  }
  address.v6.sin6_family = AF_INET6;
  return end[1] == ':' && inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1 &&
         parse_port(end + 2, address.v6.sin6_port);
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
