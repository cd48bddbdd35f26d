#include "handover.h"

#include <string.h>
#include <sys/socket.h>

namespace boxctl {

long send_handover(int socket, const Handover& message, int fd, int flags) {
  iovec data = {const_cast<Handover*>(&message), sizeof message};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    header.msg_control = space;
    header.msg_controllen = sizeof space;
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &fd, sizeof fd);
  }
  const long sent = negate(sendmsg(socket, &header, flags));
  return sent < 0 ? sent : 0;
}

long receive_handover(int socket, Handover& message, Fd& received) {
  iovec data = {&message, sizeof message};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = space;
  header.msg_controllen = sizeof space;
  long size;
  // ECONNRESET: the other side has ended with messages unread. The kernel says so once, and before it gives what that
  // had sent.
  do size = negate(recvmsg(socket, &header, MSG_CMSG_CLOEXEC));
  while (size == -EINTR || size == -ECONNRESET);
  if (size < 0) return size;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    memcpy(&fd, CMSG_DATA(control), sizeof fd);
    received.reset(fd);
  }
  if (size == 0) return -ECONNRESET;
  return size == sizeof message ? 0 : -EBADMSG;
}

}  // namespace boxctl
