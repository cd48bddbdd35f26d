#include "network_relay.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "events.h"
#include "open_files.h"

namespace boxctl {
namespace {

// After this time, `handle` takes no further batch of events.
constexpr uint64_t kTurnNs = 1'000'000;
// The time in which `stop` passes on the last bytes of all connections.
constexpr uint64_t kLastTurnNs = 50'000'000;
constexpr int kBatch = 8;
// The connections that one listener accepts before the next event is handled.
constexpr int kAccepts = 8;
constexpr uint32_t kMostConnections = 8192;
constexpr uint32_t kMostFlows = 2048;
// The descriptors that are left for the rest of the launcher.
constexpr uint64_t kOtherDescriptors = 256;
// One connection in so many is reserved: these are divided among the listeners, so that one cannot take all.
constexpr uint32_t kReservedPart = 4;
constexpr uint32_t kUdpIdle = 120;
// The buffer sizes of each socket of a connection, in bytes; the kernel doubles them. A peer that does not read fills
// only these buffers.
constexpr int kSocketBuffer = 1 << 18;

uint64_t now_seconds() { return now_ns() / 1'000'000'000; }

}  // namespace

NetworkRelay::~NetworkRelay() { stop(); }

void NetworkRelay::stop() {
  tcp_.stop(now_ns() + kLastTurnNs);
  udp_.stop();
  for (uint32_t i = 0; i < count_; i++) listeners_[i].~Listener();
  free(std::exchange(listeners_, nullptr));
  count_ = room_ = 0;
  parts_.networks.clear();
  parts_.ready.stop();
  timer_.reset();
}

long NetworkRelay::add(int socket, const Options& options) {
  if (options.target_count == 0 || options.target_count > kMostTargets) return -EINVAL;
  if (count_ == kMostListeners) return -E2BIG;
  if (count_ == room_ && !grow()) return -ENOMEM;
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return -errno;
  if (type != SOCK_STREAM && type != SOCK_DGRAM) return -EPROTOTYPE;
  Listener listener;
  listener.is_stream = type == SOCK_STREAM;
  listener.socket = Fd(fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (!listener.socket.valid() || fcntl(listener.socket.get(), F_SETFL, O_NONBLOCK) != 0) return -errno;
  if (options.network >= 0) listener.network = parts_.networks.add(options.network);
  if (options.network >= 0 && listener.network < 0) return listener.network;
  std::copy_n(options.targets, options.target_count, listener.targets);
  listener.target_count = options.target_count;
  listener.most = options.most;
  listener.idle = options.idle != 0 || listener.is_stream ? options.idle : kUdpIdle;
  if (listener.is_stream) {
    // Accepted sockets inherit the buffer sizes.
    setsockopt(listener.socket.get(), SOL_SOCKET, SO_RCVBUF, &kSocketBuffer, sizeof kSocketBuffer);
    setsockopt(listener.socket.get(), SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
    streams_++;
  } else if (!UdpRelay::prepare(listener)) {
    return -errno;
  }
  if (const long error = open_sets(); error != 0) return error;
  limited_ = limited_ || (listener.is_stream && listener.idle != 0);
  new (&listeners_[count_++]) Listener(std::move(listener));
  return 0;
}

// A List can hold plain data only.
bool NetworkRelay::grow() {
  const uint32_t room = room_ == 0 ? 4 : 2 * room_;
  auto* const grown = static_cast<Listener*>(calloc(room, sizeof(Listener)));
  if (grown == nullptr) return false;
  for (uint32_t i = 0; i < count_; i++) {
    new (&grown[i]) Listener(std::move(listeners_[i]));
    listeners_[i].~Listener();
  }
  free(std::exchange(listeners_, grown));
  room_ = room;
  return true;
}

// Called by `add`, before the command starts: without free descriptors, the step that asks for the relay fails.
long NetworkRelay::open_sets() {
  if (timer_.valid()) return 0;
  raise_open_files();
  if (!parts_.ready.start()) return -errno;
  timer_ = Fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  return timer_.valid() ? 0 : -errno;
}

long NetworkRelay::start() {
  if (count_ == 0) return 0;
  const uint64_t limit = raise_open_files();
  const uint64_t taken = kOtherDescriptors + count_;
  const uint64_t left = limit > taken ? limit - taken : 2;
  const uint32_t datagrams = count_ - streams_;
  const uint32_t flows = datagrams == 0 ? 0 : static_cast<uint32_t>(std::min<uint64_t>(kMostFlows, left / 4 + 1));
  const uint32_t connections = static_cast<uint32_t>(std::min<uint64_t>(kMostConnections, (left - flows) / 2 + 1));
  if (streams_ > 0) tcp_.start(connections);
  if (datagrams > 0 && !udp_.start(flows, datagrams)) return -errno;
  reserve_ = streams_ == 0 ? 0 : std::max(1U, connections / kReservedPart / streams_);
  parts_.now = now_seconds();
  if (!parts_.ready.set(timer_.get(), timer_events_, EPOLLIN, {For::kTimer, 0, 0})) return -errno;
  for (uint32_t i = 0; i < count_; i++) {
    if (!listen(i, true)) return -errno;
  }
  return 0;
}

void NetworkRelay::handle(short) {
  const uint64_t until = now_ns() + kTurnNs;
  do {
    // The whole batch is handled. epoll puts its descriptors at the end of the queue, so that others come next.
    epoll_event events[kBatch];
    const int count = parts_.ready.wait(events, kBatch);
    if (count <= 0) break;
    parts_.now = now_seconds();
    for (int i = 0; i < count; i++) dispatch(events[i]);
  } while (now_ns() < until);
  set_timer();
}

void NetworkRelay::dispatch(const epoll_event& event) {
  const Token token = Token::unpack(event.data.u64);
  if (token.whom != For::kTimer) active_ = warm_ = true;
  switch (token.whom) {
    case For::kTimer:
      return tick();
    case For::kListener:
      if (listeners_[token.index].is_stream) return accept(token.index);
      return udp_.receive(listeners_[token.index], token.index, listeners_);
    case For::kOuter:
    case For::kInner:
      if (tcp_.handle(token, event.events, listeners_) != nullptr) resume();
      return;
    case For::kFlow:
      return udp_.handle(token, listeners_);
  }
}

void NetworkRelay::accept(uint32_t index) {
  Listener& listener = listeners_[index];
  for (int i = 0; i < kAccepts; i++) {
    // Over its rate, a connection waits in the kernel's queue until the timer has fired.
    if (!may_accept(listener) || is_over_rate(listener, parts_.now)) {
      listen(index, false);
      return;
    }
    if (tcp_.accept(listener, index)) {
      listener.started++;
      continue;
    }
    // There is no connection, or it ended before it was accepted.
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // Out of descriptors or memory: the connection waits in the kernel's queue until the timer tries again.
    listen(index, false);
    return;
  }
}

// A listener below its reserve may accept while any room is left. Others must leave the reserves of all listeners.
bool NetworkRelay::may_accept(const Listener& listener) const {
  if (listener.most != 0 && listener.open >= listener.most) return false;
  const uint32_t room = tcp_.room();
  return room > 0 && (listener.open < reserve_ || room > reserve_ * streams_);
}

// Adds the listener to what epoll waits for, or takes it out. Meanwhile connections wait in the kernel's queue. When
// that is full, the clients repeat their connection requests.
bool NetworkRelay::listen(uint32_t index, bool listens) {
  Listener& listener = listeners_[index];
  const uint32_t wanted = listens ? static_cast<uint32_t>(EPOLLIN) : 0;
  if (!parts_.ready.set(listener.socket.get(), listener.events, wanted, {For::kListener, 0, index})) return false;
  if (!listens) paused_++;
  return true;
}

// Called when a connection has ended. Waits again for paused listeners that may accept now.
void NetworkRelay::resume() {
  for (uint32_t i = 0; i < count_ && paused_ > 0; i++) {
    if (listeners_[i].events != 0 || !may_accept(listeners_[i])) continue;
    if (!listen(i, true)) return;
    paused_--;
  }
}

void NetworkRelay::tick() {
  uint64_t count;
  if (read(timer_.get(), &count, sizeof count) != sizeof count) return;
  if (limited_) tcp_.expire(listeners_);
  udp_.expire(listeners_);
  resume();
  if (std::exchange(active_, false) || !warm_) return;
  warm_ = false;
  rested_ = true;
  TcpRelay::give_back();
  UdpRelay::give_back();
}

bool NetworkRelay::needs_timer() const {
  return warm_ || !udp_.is_empty() || paused_ > 0 || (limited_ && !tcp_.is_empty());
}

// Starts or stops the timer. It fires once a second while a listener is paused, a connection or flow can expire, or
// memory can be given back.
void NetworkRelay::set_timer() {
  if (needs_timer() == timer_runs_) return;
  const time_t period = timer_runs_ ? 0 : 1;
  const itimerspec value = {{period, 0}, {period, 0}};
  if (timerfd_settime(timer_.get(), 0, &value, nullptr) == 0) timer_runs_ = !timer_runs_;
}

}  // namespace boxctl
