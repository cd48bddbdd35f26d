#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

namespace boxctl {
namespace {

constexpr unsigned kMfdCloexec = 1, kMfdAllowSealing = 2;
// F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE: the journal refuses a file that may still change.
constexpr int kAddSeals = 1033, kAllSeals = 15;
// Of syslog(3).
constexpr int kError = 3, kInformation = 6;

bool copy_text(char* to, size_t room, const char* from) {
  if (strlen(from) >= room) return false;
  memcpy(to, from, strlen(from) + 1);
  return true;
}

}  // namespace

long Journal::open(const char* path, const char* name, const char* id) {
  if (!copy_text(path_, sizeof path_, path) || !copy_text(name_, sizeof name_, name) ||
      !copy_text(id_, sizeof id_, id)) {
    return -ENAMETOOLONG;
  }
  return connect_again();
}

long Journal::connect_again() {
  Fd made(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid()) return -errno;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path_, sizeof address.sun_path);
  if (connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -errno;
  socket_ = std::move(made);
  return 0;
}

long Journal::send(Stream stream, const char* text, size_t size, bool partial) {
  const bool has_end = size > 0 && text[size - 1] == '\n';
  const size_t text_size = has_end ? size - 1 : size;
  char fields[768];
  const int length = snprintf(fields, sizeof fields,
                              "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nCONTAINER_NAME=%s\nCONTAINER_ID=%s\n"
                              "CONTAINER_ID_FULL=%s\n%sMESSAGE\n",
                              stream == Stream::kErr ? kError : kInformation, name_, name_, id_, id_,
                              partial ? "CONTAINER_PARTIAL_MESSAGE=true\n" : "");
  if (length <= 0 || static_cast<size_t>(length) >= sizeof fields) return -ENAMETOOLONG;
  const long sent = send_once(fields, static_cast<size_t>(length), text, text_size);
  // The journal was started anew.
  const bool is_gone = sent == -ECONNREFUSED || sent == -ENOTCONN || sent == -ECONNRESET || sent == -EPIPE;
  if (!is_gone) return sent;
  if (const long error = connect_again(); error != 0) return error;
  return send_once(fields, static_cast<size_t>(length), text, text_size);
}

// A field with any bytes: its name, a line feed, the size in 64 bits (little-endian), the bytes and a line feed.
long Journal::send_once(const char* fields, size_t size, const char* text, size_t text_size) const {
  uint64_t text_length = text_size;
  char end = '\n';
  iovec parts[] = {
      {const_cast<char*>(fields), size},
      {&text_length, sizeof text_length},
      {const_cast<char*>(text), text_size},
      {&end, 1},
  };
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 4;
  if (sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
  if (errno != EMSGSIZE && errno != ENOBUFS) return -errno;
  const Fd file(static_cast<int>(call(SYS_memfd_create, "boxctl-log", kMfdCloexec | kMfdAllowSealing)));
  if (!file.valid()) return -ENOMEM;
  for (const iovec& part : parts) {
    if (write(file.get(), part.iov_base, part.iov_len) != static_cast<ssize_t>(part.iov_len)) return -ENOMEM;
  }
  if (fcntl(file.get(), kAddSeals, kAllSeals) != 0) return -errno;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr pass = {};
  pass.msg_control = control;
  pass.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&pass);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int descriptor = file.get();
  memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  return sendmsg(socket_.get(), &pass, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 0 : -errno;
}

}  // namespace boxctl
