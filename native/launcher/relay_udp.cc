#include "relay_udp.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <utility>

namespace boxctl {
namespace {

// The datagrams of one socket that are passed on before the next event is handled.
constexpr int kDatagrams = 16;
// The idle seconds after which a flow without a reply is closed.
constexpr uint64_t kUnanswered = 30;
// The idle seconds after which a flow with a reply may be closed to make room for another client of the same listener.
constexpr uint64_t kRecent = 1;
// One buffer for all flows, which use it one after the other. The largest datagram fits.
alignas(4096) char datagram[1 << 16];

// FNV-1a.
uint64_t mix(uint64_t hash, const void* bytes, size_t size) {
  const auto* const at = static_cast<const uint8_t*>(bytes);
  for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * 0x100000001b3;
  return hash;
}

}  // namespace

void UdpRelay::stop() {
  for (uint32_t i = 0; i < used_; i++) {
    if (flows_[i].in_use) ::close(flows_[i].fd);
  }
  flows_ = {};
  chains_ = {};
  used_ = free_ = open_ = capacity_ = 0;
}

bool UdpRelay::prepare(const Listener& listener) {
  const int on = 1;
  int family = 0;
  socklen_t size = sizeof family;
  if (getsockopt(listener.socket.get(), SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return false;
  if (family == AF_INET) return setsockopt(listener.socket.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0;
  return setsockopt(listener.socket.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0;
}

bool UdpRelay::start(uint32_t capacity, uint32_t listeners) {
  if (getrandom(&seed_, sizeof seed_, 0) != sizeof seed_) return false;
  capacity_ = capacity;
  share_ = capacity / (listeners == 0 ? 1 : listeners);
  return true;
}

void UdpRelay::give_back() { call(SYS_madvise, datagram, sizeof datagram, MADV_DONTNEED); }

void UdpRelay::receive(Listener& listener, uint32_t index, Listener* listeners) {
  for (int i = 0; i < kDatagrams; i++) {
    Client client;
    const ssize_t size = take_datagram(listener, client);
    if (size < 0) return;
    // Over its rate, a datagram is dropped, as by a full queue.
    if (is_over_rate(listener, parts_.now)) continue;
    listener.started++;
    Flow* flow = find(index, client);
    if (flow == nullptr) {
      // `make` sends the first datagram, since the answer to it decides which target is used.
      make(listener, index, client, static_cast<size_t>(size), listeners);
      continue;
    }
    flow->used = parts_.now;
    // An error is ignored: a datagram for which there is no room is lost, and send(2) may report an earlier one's
    // error.
    send(flow->fd, datagram, static_cast<size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

ssize_t UdpRelay::take_datagram(const Listener& listener, Client& client) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))];
  iovec data = {datagram, sizeof datagram};
  msghdr message = {};
  message.msg_name = &client.address;
  message.msg_namelen = sizeof client.address;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = recvmsg(listener.socket.get(), &message, MSG_DONTWAIT);
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); size >= 0 && part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      memcpy(&info, CMSG_DATA(part), sizeof info);
      memcpy(&client.local, &info.ipi_addr, sizeof info.ipi_addr);
    } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      memcpy(&info, CMSG_DATA(part), sizeof info);
      client.local = info.ipi6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) client.interface = info.ipi6_ifindex;
    }
  }
  return size;
}

void UdpRelay::send_reply(const Listener& listener, const Client& client, size_t size) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
  SocketAddress address = client.address;
  iovec data = {datagram, size};
  msghdr message = {};
  message.msg_name = &address;
  message.msg_namelen = address.size();
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  auto* const part = reinterpret_cast<cmsghdr*>(control);
  if (address.family() == AF_INET) {
    in_pktinfo info = {};
    memcpy(&info.ipi_spec_dst, &client.local, sizeof info.ipi_spec_dst);
    *part = {CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
    memcpy(CMSG_DATA(part), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  } else {
    const in6_pktinfo info = {client.local, client.interface};
    *part = {CMSG_LEN(sizeof info), IPPROTO_IPV6, IPV6_PKTINFO};
    memcpy(CMSG_DATA(part), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  }
  sendmsg(listener.socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// The chain of a client. The hash has a random seed: otherwise clients could choose ports so that all flows are in one
// chain, which is searched for each datagram.
uint32_t& UdpRelay::chain_of(uint32_t listener, const Client& client) {
  uint64_t hash = mix(seed_, &listener, sizeof listener);
  hash = mix(hash, &client.local, sizeof client.local);
  if (client.address.family() == AF_INET) {
    hash = mix(hash, &client.address.v4.sin_port, sizeof client.address.v4.sin_port);
    hash = mix(hash, &client.address.v4.sin_addr, sizeof client.address.v4.sin_addr);
  } else {
    hash = mix(hash, &client.address.v6.sin6_port, sizeof client.address.v6.sin6_port);
    hash = mix(hash, &client.address.v6.sin6_addr, sizeof client.address.v6.sin6_addr);
  }
  return chains_[(hash ^ hash >> 32) % kChains];
}

UdpRelay::Flow* UdpRelay::find(uint32_t listener, const Client& client) {
  if (chains_.size() == 0) return nullptr;
  for (uint32_t at = chain_of(listener, client); at != 0; at = flows_[at - 1].next) {
    Flow& flow = flows_[at - 1];
    const bool same = flow.listener == listener && flow.client.interface == client.interface &&
                      memcmp(&flow.client.local, &client.local, sizeof client.local) == 0;
    if (same && is_same(flow.client.address, client.address)) return &flow;
  }
  return nullptr;
}

UdpRelay::Flow* UdpRelay::make(Listener& listener, uint32_t index, const Client& client, size_t size,
                               Listener* listeners) {
  if (chains_.size() == 0 && (!flows_.reset(capacity_) || !chains_.reset(kChains))) return nullptr;
  const bool full = open_ == capacity_ || (listener.most != 0 && listener.open >= listener.most);
  if (full && !make_room(listener, index, listeners)) return nullptr;
  const uint32_t at = free_ != 0 ? free_ - 1 : used_++;
  Flow& flow = flows_[at];
  const uint32_t generation = flow.generation + 1;
  if (free_ != 0) free_ = flow.next;
  flow = {};
  flow.generation = generation & Token::kGenerations;
  flow.listener = index;
  flow.client = client;
  flow.used = parts_.now;
  flow.in_use = true;
  uint32_t& chain = chain_of(index, client);
  flow.next = chain;
  chain = at + 1;
  open_++;
  listener.open++;
  if (connect(flow, listener, size)) return &flow;
  close(flow, listener);
  return nullptr;
}

// Sends the first datagram to the first target that does not refuse it at once.
bool UdpRelay::connect(Flow& flow, const Listener& listener, size_t size) {
  for (uint32_t i = 0; i < listener.target_count; i++) {
    const SocketAddress& target = listener.targets[i];
    if (flow.fd >= 0) ::close(flow.fd);
    flow.events = ReadySet::kAbsent;
    flow.fd = static_cast<int>(parts_.networks.open(listener.network, target.family(), SOCK_DGRAM));
    if (flow.fd < 0 || ::connect(flow.fd, &target.any, target.size()) != 0) continue;
    send(flow.fd, datagram, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    // If nothing listens in the namespace, the kernel has reported ECONNREFUSED before send(2) returns.
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(flow.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error == ECONNREFUSED) continue;
    const auto index = static_cast<uint32_t>(&flow - flows_.begin());
    return parts_.ready.set(flow.fd, flow.events, EPOLLIN, {For::kFlow, flow.generation, index});
  }
  return false;
}

// Closes a flow: one of this listener if it has its share or its limit of flows, otherwise one of a listener with more
// than its share. Flows without a reply come first, and among these or the others the one that was idle for longest.
bool UdpRelay::make_room(const Listener& listener, uint32_t index, Listener* listeners) {
  const bool own = listener.open >= share_ || (listener.most != 0 && listener.open >= listener.most);
  Flow* oldest = nullptr;
  for (uint32_t i = 0; i < used_; i++) {
    Flow& flow = flows_[i];
    const bool counts = flow.in_use && (own ? flow.listener == index : listeners[flow.listener].open > share_);
    if (!counts) continue;
    if (own && flow.answered && parts_.now - flow.used < kRecent) continue;
    const bool better = oldest == nullptr || (oldest->answered && !flow.answered) ||
                        (oldest->answered == flow.answered && flow.used < oldest->used);
    if (better) oldest = &flow;
  }
  if (oldest != nullptr) close(*oldest, listeners[oldest->listener]);
  return oldest != nullptr;
}

void UdpRelay::handle(const Token& token, Listener* listeners) {
  Flow& flow = flows_[token.index];
  if (!flow.in_use || flow.generation != token.generation) return;
  Listener& listener = listeners[flow.listener];
  for (int i = 0; i < kDatagrams; i++) {
    const ssize_t size = recv(flow.fd, datagram, sizeof datagram, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // ECONNREFUSED: nothing listens at the target any more.
    if (size < 0) return close(flow, listener);
    flow.used = parts_.now;
    flow.answered = true;
    send_reply(listener, flow.client, static_cast<size_t>(size));
  }
}

void UdpRelay::close(Flow& flow, Listener& listener) {
  const auto place = static_cast<uint32_t>(&flow - flows_.begin()) + 1;
  uint32_t* at = &chain_of(flow.listener, flow.client);
  while (*at != place) at = &flows_[*at - 1].next;
  *at = flow.next;
  if (flow.fd >= 0) ::close(flow.fd);
  flow.fd = -1;
  flow.in_use = false;
  flow.next = free_;
  free_ = place;
  open_--;
  listener.open--;
}

void UdpRelay::expire(Listener* listeners) {
  for (uint32_t i = 0; i < used_; i++) {
    Flow& flow = flows_[i];
    if (!flow.in_use) continue;
    Listener& listener = listeners[flow.listener];
    const uint64_t idle = flow.answered || listener.idle < kUnanswered ? listener.idle : kUnanswered;
    if (parts_.now - flow.used >= idle) close(flow, listener);
  }
}

}  // namespace boxctl
