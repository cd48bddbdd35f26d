// Sockets: functions that are one system call.
#include <sys/socket.h>

#include "raw.h"

using boxctl::libc::call;
using boxctl::libc::call_int;

extern "C" {

int socket(int domain, int type, int protocol) noexcept { return call_int(SYS_socket, domain, type, protocol); }
int socketpair(int domain, int type, int protocol, int* pair) noexcept {
  return call_int(SYS_socketpair, domain, type, protocol, pair);
}
int bind(int fd, const sockaddr* address, socklen_t size) noexcept { return call_int(SYS_bind, fd, address, size); }
int listen(int fd, int backlog) noexcept { return call_int(SYS_listen, fd, backlog); }
int connect(int fd, const sockaddr* address, socklen_t size) { return call_int(SYS_connect, fd, address, size); }
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  return call_int(SYS_accept4, fd, address, size, flags);
}
int shutdown(int fd, int how) noexcept { return call_int(SYS_shutdown, fd, how); }
int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  return call_int(SYS_getsockname, fd, address, size);
}
int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  return call_int(SYS_getsockopt, fd, level, name, value, size);
}
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  return call_int(SYS_setsockopt, fd, level, name, value, size);
}
ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  return call(SYS_sendto, fd, bytes, size, flags, nullptr, 0);
}
ssize_t recv(int fd, void* bytes, size_t size, int flags) {
  return call(SYS_recvfrom, fd, bytes, size, flags, nullptr, nullptr);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) { return call(SYS_sendmsg, fd, message, flags); }
ssize_t recvmsg(int fd, msghdr* message, int flags) { return call(SYS_recvmsg, fd, message, flags); }

}  // extern "C"
