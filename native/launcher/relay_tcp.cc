#include "relay_tcp.h"

#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <utility>

#include "events.h"

namespace boxctl {
namespace {

constexpr size_t kPiece = 1 << 17;
// The pieces that one connection carries before the next event is handled.
constexpr int kPieces = 4;
// TCP_SYNCNT: with so many repetitions of the SYN, connect(2) fails after some 15 seconds.
constexpr int kConnectAttempts = 3;
// One buffer for all connections, which use it one after the other. With 128 KiB, a stream takes a fifth less of the
// processor than with 64.
alignas(4096) char piece[kPiece];

bool would_block(ssize_t result) { return result < 0 && (errno == EAGAIN || errno == EINTR); }

void set_option(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

void set_options(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  // Otherwise a connection stays open for ever if the peer disappears without FIN or reset.
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  // Urgent bytes are relayed like all others.
  set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

// Closes the socket; the peer gets a reset.
void reset(int fd) {
  const linger now = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(fd);
}

// Removes bytes from the receive queue that were read with MSG_PEEK before.
bool discard(int fd, size_t size) {
  while (size > 0) {
    const ssize_t got = recv(fd, piece, size, MSG_TRUNC | MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    size -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

void TcpRelay::stop(uint64_t until) {
  for (uint32_t i = 0; i < used_; i++) {
    Connection& connection = connections_[i];
    if (!connection.in_use) continue;
    const bool carries = !connection.connecting && !connection.broken && now_ns() < until;
    if (carries) carry(connection, kInner);
    // With a reset, the peer knows that bytes may be missing.
    if (!connection.ends[kInner].done) connection.broken = true;
    close_ends(connection);
  }
  connections_ = {};
  used_ = free_ = open_ = capacity_ = 0;
}

void TcpRelay::give_back() { call(SYS_madvise, piece, sizeof piece, MADV_DONTNEED); }

bool TcpRelay::accept(Listener& listener, uint32_t index) {
  if (room() == 0) {
    errno = EMFILE;
    return false;
  }
  // The kernel allocates its pages only as they are used.
  if (connections_.size() == 0 && !connections_.reset(capacity_)) {
    errno = ENOMEM;
    return false;
  }
  const int outer = accept4(listener.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (outer < 0) return false;
  set_options(outer);
  const uint32_t at = free_ != 0 ? free_ - 1 : used_++;
  Connection& connection = connections_[at];
  const uint32_t generation = connection.generation + 1;
  if (free_ != 0) free_ = connection.next_free;
  connection = {};
  connection.generation = generation & Token::kGenerations;
  connection.listener = index;
  connection.used = parts_.now;
  connection.in_use = true;
  connection.ends[kOuter].fd = outer;
  open_++;
  listener.open++;
  if (!connect(connection, listener) || !update(connection)) {
    connection.broken = true;
    close(connection, listener);
  }
  return true;
}

// Begins to connect to the next target. False: no target is left.
bool TcpRelay::connect(Connection& connection, const Listener& listener) {
  End& inner = connection.ends[kInner];
  for (; connection.target < listener.target_count; connection.target++) {
    if (inner.fd >= 0) ::close(inner.fd);
    inner = {};
    const SocketAddress& target = listener.targets[connection.target];
    const long fd = parts_.networks.open(listener.network, target.family(), SOCK_STREAM);
    if (fd < 0) continue;
    inner.fd = static_cast<int>(fd);
    set_options(inner.fd);
    set_option(inner.fd, IPPROTO_TCP, TCP_SYNCNT, kConnectAttempts);
    connection.connecting = ::connect(inner.fd, &target.any, target.size()) != 0;
    if (!connection.connecting || errno == EINPROGRESS) return true;
  }
  return false;
}

Listener* TcpRelay::handle(const Token& token, uint32_t events, Listener* listeners) {
  Connection& connection = connections_[token.index];
  if (!connection.in_use || connection.generation != token.generation) return nullptr;
  Listener& listener = listeners[connection.listener];
  const Side side = token.whom == For::kOuter ? kOuter : kInner;
  connection.used = parts_.now;
  if (connection.connecting) {
    handle_connecting(connection, side, events, listener);
  } else {
    handle_open(connection, side, events);
  }
  if (!has_ended(connection) && !update(connection)) abandon(connection);
  if (!has_ended(connection)) return nullptr;
  close(connection, listener);
  return &listener;
}

void TcpRelay::handle_connecting(Connection& connection, Side side, uint32_t events, const Listener& listener) {
  int error = 0;
  socklen_t size = sizeof error;
  if (side == kOuter) {
    // An event of the outer side while connecting: the client has reset its connection.
    error = ECONNRESET;
    connection.target = listener.target_count;
  } else {
    if (getsockopt(connection.ends[kInner].fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0) {
      connection.connecting = (events & (EPOLLOUT | EPOLLHUP)) == 0;
      return;
    }
    connection.target++;
  }
  if (!connect(connection, listener)) abandon(connection);
}

void TcpRelay::handle_open(Connection& connection, Side side, uint32_t events) {
  End& end = connection.ends[side];
  End& opposite = connection.ends[other(side)];
  const bool closed = (events & (EPOLLHUP | EPOLLERR)) != 0;
  // EPOLLHUP alone comes after both sides have ended sending, which is no error. EPOLLERR comes after a reset.
  if (events & EPOLLERR) connection.broken = true;
  if (closed && !opposite.done) give_up_sending(connection, side);
  if (events & EPOLLOUT) opposite.full = false;
  if (closed || (events & EPOLLIN)) carry(connection, side);
  if (events & EPOLLOUT) carry(connection, other(side));
  // epoll would report EPOLLHUP again at once, and nothing can be done before the other side takes more.
  if (closed && (end.full || end.done)) wait_for(connection, side, ReadySet::kAbsent);
}

// Passes on what the side `from` has received, as far as the other side takes it.
void TcpRelay::carry(Connection& connection, Side from) {
  End& end = connection.ends[from];
  const int to = connection.ends[other(from)].fd;
  for (int i = 0; i < kPieces && !end.done && !end.full; i++) {
    const ssize_t got = recv(end.fd, piece, sizeof piece, MSG_PEEK | MSG_DONTWAIT);
    if (would_block(got)) return;
    if (got < 0) {
      // `from` was reset: it takes nothing more from the other side either.
      give_up_sending(connection, from);
      end.done = true;
      return;
    }
    if (got == 0) {
      end.done = true;
      shutdown(to, SHUT_WR);
      return;
    }
    const ssize_t sent = send(to, piece, static_cast<size_t>(got), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && !would_block(sent)) return give_up_sending(connection, other(from));
    if (sent > 0 && !discard(end.fd, static_cast<size_t>(sent))) {
      give_up_sending(connection, from);
      return give_up_sending(connection, other(from));
    }
    end.full = sent < got;
    if (static_cast<size_t>(got) < sizeof piece) return;
  }
}

// The side `to` was reset: nothing more is sent to it. Bytes that it sent before may still be passed on.
void TcpRelay::give_up_sending(Connection& connection, Side to) {
  End& from = connection.ends[other(to)];
  from.done = true;
  from.full = false;
  connection.broken = true;
}

bool TcpRelay::update(Connection& connection) {
  if (connection.connecting) {
    // The outer side is not read before there is an inner connection. epoll reports a reset without any events set.
    return wait_for(connection, kOuter, 0) && wait_for(connection, kInner, EPOLLOUT);
  }
  for (const Side side : {kOuter, kInner}) {
    const End& end = connection.ends[side];
    uint32_t wanted = !end.done && !end.full ? static_cast<uint32_t>(EPOLLIN) : 0;
    if (connection.ends[other(side)].full) wanted |= EPOLLOUT;
    // `handle_open` took it out, since epoll would report its error or end again and again.
    if (wanted == 0 && end.events == ReadySet::kAbsent) continue;
    if (!wait_for(connection, side, wanted)) return false;
  }
  return true;
}

bool TcpRelay::wait_for(Connection& connection, Side side, uint32_t wanted) {
  End& end = connection.ends[side];
  const auto index = static_cast<uint32_t>(&connection - connections_.begin());
  const Token token = {side == kOuter ? For::kOuter : For::kInner, connection.generation, index};
  return parts_.ready.set(end.fd, end.events, wanted, token);
}

// Ends the connection: both sides get a reset.
void TcpRelay::abandon(Connection& connection) {
  connection.broken = true;
  for (End& end : connection.ends) end.done = true;
}

bool TcpRelay::has_ended(const Connection& connection) {
  return connection.ends[kOuter].done && connection.ends[kInner].done;
}

void TcpRelay::close(Connection& connection, Listener& listener) {
  close_ends(connection);
  connection.in_use = false;
  connection.next_free = free_;
  free_ = static_cast<uint32_t>(&connection - connections_.begin()) + 1;
  open_--;
  listener.open--;
}

void TcpRelay::close_ends(Connection& connection) {
  for (End& end : connection.ends) {
    if (end.fd < 0) continue;
    if (connection.broken) {
      reset(end.fd);
    } else {
      ::close(end.fd);
    }
    end.fd = -1;
  }
}

void TcpRelay::expire(Listener* listeners) {
  for (uint32_t i = 0; i < used_; i++) {
    Connection& connection = connections_[i];
    if (!connection.in_use) continue;
    Listener& listener = listeners[connection.listener];
    if (listener.idle == 0 || parts_.now - connection.used < listener.idle) continue;
    connection.broken = true;
    close(connection, listener);
  }
}

}  // namespace boxctl
