#include "socket_opener.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "../shared/syscalls.h"

namespace boxctl {
namespace {

constexpr unsigned long kGetOwner = _IO(0xb7, 1);  // NS_GET_USERNS

struct Request {
  int family;
  int type;
};

union Control {
  char bytes[CMSG_SPACE(sizeof(int))];
  cmsghdr align;
};

// Sends the answer to a request: 0 and a descriptor, or -errno.
bool send_answer(int socket, long result) {
  int error = result < 0 ? static_cast<int>(result) : 0;
  iovec data = {&error, sizeof error};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  Control control = {};
  if (result >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = static_cast<int>(result);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) == sizeof error;
}

long receive_answer(int socket) {
  int error = 0;
  iovec data = {&error, sizeof error};
  Control control = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t got;
  do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  // The other process was killed.
  if (got != sizeof error) return -EPIPE;
  if (error != 0) return error;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return 0;
  int fd = -1;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

[[noreturn]] void serve(int socket) {
  Request request;
  while (recv(socket, &request, sizeof request, 0) == sizeof request) {
    const Fd made(::socket(request.family, request.type, 0));
    if (!send_answer(socket, made.valid() ? made.get() : -errno)) break;
  }
  _exit(0);
}

// Runs in the new process. It closes all descriptors of the launcher but its end of the socket.
[[noreturn]] void become(int owner, int network, int socket, pid_t parent) {
  // The container's root is in the same user namespace. A process that is not dumpable cannot be traced by it
  // (ptrace(2)).
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  long result = call(SYS_setns, owner, CLONE_NEWUSER);
  if (result == 0) result = call(SYS_setns, network, CLONE_NEWNET);
  // Again, and PR_SET_PDEATHSIG only now: a change of credentials such as setns(2)'s can reset both.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != parent) _exit(1);
  if (dup2(socket, 0) < 0) _exit(1);
  call(kSysCloseRange, 1U, ~0U, 0U);
  int error = static_cast<int>(result);
  if (send(0, &error, sizeof error, MSG_NOSIGNAL) != sizeof error || error != 0) _exit(1);
  serve(0);
}

}  // namespace

long SocketOpener::start(int network) {
  const Fd owner(ioctl(network, kGetOwner));
  if (!owner.valid()) return -errno;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -errno;
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) become(owner.get(), network, theirs.get(), parent);
  theirs.reset();
  const long result = receive_answer(ours.get());
  if (result < 0) return result;
  socket_ = std::move(ours);
  return 0;
}

long SocketOpener::open(int family, int type) const {
  const Request request = {family, type};
  if (send(socket_.get(), &request, sizeof request, MSG_NOSIGNAL) != sizeof request) return -errno;
  return receive_answer(socket_.get());
}

}  // namespace boxctl
