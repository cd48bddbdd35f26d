#include "close_later.h"

#include <string.h>
#include <sys/socket.h>

namespace boxctl {

// The descriptor becomes a part of a cycle: a Unix socket that has itself and the descriptor in its queue (SCM_RIGHTS),
// and that no process has open. The kernel collects such sockets (net/unix/garbage.c) when any Unix socket is closed.
// It does so in a thread of its own since Linux 6.9; before, in the process that closes the socket, which then waits as
// it would for close(2).
void close_later(Fd fd) {
  int ends[2];
  // Without the sockets, `fd` is closed when this function returns, and the process waits.
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) return;
  Fd holder(ends[0]);
  Fd sender(ends[1]);
  const int held[] = {holder.get(), fd.get()};
  char byte = 0;
  iovec data = {&byte, sizeof byte};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof held)] = {};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = space;
  header.msg_controllen = sizeof space;
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof held);
  memcpy(CMSG_DATA(control), held, sizeof held);
  sendmsg(sender.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  fd.reset();
  holder.reset();
  // Last: closing it starts the collection.
  sender.reset();
}

}  // namespace boxctl
