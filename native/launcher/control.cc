#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <utility>

namespace boxctl {
namespace {

constexpr int kBacklog = 64;

// Other programs of this machine can see the socket, where the folder lets them: the kernel says who they are.
bool may_order(int fd, uid_t user) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == user || peer.uid == 0;
}

}  // namespace

void Control::start(uid_t user, void* owner, Handler handler) {
  user_ = user;
  owner_ = owner;
  handler_ = handler;
  for (Client& client : clients_) client.control = this;
}

long Control::listen(int dirfd, const char* name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // The folder by its descriptor: its path may be longer than an address can be.
  const int size = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dirfd, name);
  if (size < 0 || static_cast<size_t>(size) >= sizeof address.sun_path) return -ENAMETOOLONG;
  Fd made(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid()) return -errno;
  if (bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -errno;
  if (::listen(made.get(), kBacklog) != 0) return -errno;
  listener_ = std::move(made);
  return 0;
}

void Control::add_sources(Poller& poller) {
  if (!listener_.valid()) return;
  bool is_full = true;
  for (Client& client : clients_) {
    if (!client.fd.valid()) {
      is_full = false;
      continue;
    }
    poller.add<&Client::on_message>(client.fd.get(), POLLIN, client);
  }
  // Others wait in the backlog until one of these is gone.
  if (!is_full) poller.add<&Control::on_connection>(listener_.get(), POLLIN, *this);
}

void Control::on_connection(short) {
  Fd made(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!made.valid() || !may_order(made.get(), user_)) return;
  for (Client& client : clients_) {
    if (client.fd.valid()) continue;
    client.fd = std::move(made);
    return;
  }
}

void Control::Client::on_message(short) {
  if (!fd.valid()) return;
  Order order;
  const ssize_t size = recv(fd.get(), &order, sizeof order, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size != sizeof order) return fd.reset();
  control->handler_(control->owner_, order);
}

void Control::tell(const Record& event) {
  for (const Client& client : clients_) {
    if (client.fd.valid()) send(client.fd.get(), &event, sizeof event, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

}  // namespace boxctl
