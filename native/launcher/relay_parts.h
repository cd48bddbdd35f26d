// Parts that the relays of TCP (relay_tcp.h) and UDP (relay_udp.h) share: the listening sockets and the epoll instance.
#pragma once

#include <stdint.h>
#include <sys/epoll.h>

#include "../shared/fd.h"
#include "network_namespaces.h"
#include "socket_address.h"

namespace boxctl {

// The kind of descriptor that an event of the epoll instance is about. kOuter, kInner: the two sockets of a connection.
enum class For : uint8_t { kTimer, kListener, kOuter, kInner, kFlow };

// The data of an event. `index` is an entry of a table. An event for an earlier entry at the same index may be in the
// same batch; its `generation` differs.
struct Token {
  For whom = For::kTimer;
  uint32_t generation = 0;  // 24 bits
  uint32_t index = 0;

  static constexpr uint32_t kGenerations = 0xff'ffff;
  uint64_t pack() const {
    return static_cast<uint64_t>(whom) << 56 | static_cast<uint64_t>(generation & kGenerations) << 32 | index;
  }
  static Token unpack(uint64_t data) {
    return {static_cast<For>(data >> 56), static_cast<uint32_t>(data >> 32) & kGenerations,
            static_cast<uint32_t>(data)};
  }
};

class ReadySet {
 public:
  // In place of events: the descriptor is not in the epoll instance, and not even its errors are reported.
  static constexpr uint32_t kAbsent = 0xffff'ffff;

  void stop() { epoll_.reset(); }
  bool start() {
    if (!epoll_.valid()) epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    return epoll_.valid();
  }
  int fd() const { return epoll_.get(); }
  // Changes the events of a descriptor from `events` to `wanted`. False: epoll_ctl(2) failed.
  bool set(int fd, uint32_t& events, uint32_t wanted, Token token) const {
    if (events == wanted) return true;
    const int operation = wanted == kAbsent ? EPOLL_CTL_DEL : events == kAbsent ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    epoll_event event = {wanted, {}};
    event.data.u64 = token.pack();
    if (epoll_ctl(epoll_.get(), operation, fd, &event) != 0) return false;
    events = wanted;
    return true;
  }
  int wait(epoll_event* events, int most) const { return epoll_wait(epoll_.get(), events, most, 0); }

 private:
  Fd epoll_;
};

// A socket on which the launcher listens for connections (TCP) or datagrams (UDP), and the addresses to relay them to.
struct Listener {
  Fd socket;
  bool is_stream = false;
  int network = NetworkNamespaces::kOwn;  // the namespace of the sockets to the targets
  // Tried in order: the second one if nothing listens on the first.
  SocketAddress targets[2];
  uint32_t target_count = 0;
  uint32_t most = 0;  // the most connections or clients at once; 0: as many as there is room for
  uint32_t idle = 0;  // seconds until an idle one is closed; 0: never (TCP)
  uint32_t open = 0;
  uint64_t second = 0;   // the second in which `started` were taken
  uint32_t started = 0;  // datagrams or connections
  uint32_t events = ReadySet::kAbsent;
};

// With `most`, a listener takes so many datagrams or connections a second for each that it may have at once. With the
// 256 of a name server this is 1024 a second: a container that floods does not make the host's name server work for it.
constexpr uint32_t kRate = 4;

// Whether the listener has taken all that it may take in this second. `now` is in seconds.
inline bool is_over_rate(Listener& listener, uint64_t now) {
  if (listener.second != now) {
    listener.second = now;
    listener.started = 0;
  }
  return listener.most != 0 && listener.started / kRate >= listener.most;
}

struct RelayParts {
  ReadySet ready;
  NetworkNamespaces networks;
  uint64_t now = 0;  // the time of the current batch of events, in seconds of the monotonic clock
};

}  // namespace boxctl
