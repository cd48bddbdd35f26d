// Carries what reaches the launcher's listening sockets to other addresses, mostly in the container's network
// namespace: connections and datagrams for published ports that no rule of the kernel's takes there, and questions of
// the container for a resolver on the host's loopback.
//
// All descriptors are behind one of epoll's, which the launcher's own loop waits for. Whatever the peers do, a call of
// `handle` ends after some two milliseconds, since the same process passes on signals and waits for the command's end.
#pragma once

#include <stdint.h>

#include "../shared/fd.h"
#include "poller.h"
#include "relay_parts.h"
#include "relay_tcp.h"
#include "relay_udp.h"

namespace boxctl {

class NetworkRelay {
 public:
  // Addresses of one listener: of both families, say.
  static constexpr uint32_t kMostTargets = 2;
  struct Options {
    int network =
        -1;  // a descriptor of the network namespace in which sockets to the targets are made; -1: the launcher's
    const SocketAddress* targets = nullptr;
    uint32_t target_count = 0;
    uint32_t most = 0;
    uint32_t idle = 0;
  };

  NetworkRelay() = default;
  ~NetworkRelay();
  NetworkRelay(const NetworkRelay&) = delete;
  NetworkRelay& operator=(const NetworkRelay&) = delete;

  // Relays what reaches `socket`, which listens (TCP) or is bound (UDP). The descriptors are copied. 0 or -errno.
  long add(int socket, const Options& options);
  // Begins to accept. Until then connections wait in the kernel's queue of the socket. 0 or -errno.
  long start();
  void add_sources(Poller& poller) { poller.add<&NetworkRelay::handle>(parts_.ready.fd(), POLLIN, *this); }
  void handle(short happened = 0);
  // The container has ended: carries on what it has sent, as far as that is taken at once, and closes everything, the
  // listening sockets too. Relays nothing any more.
  void stop();

 private:
  long open_sets();
  void dispatch(const epoll_event& event);
  void accept(uint32_t index);
  bool may_accept(const Listener& listener) const;
  bool listen(uint32_t index, bool listens);
  void resume();
  void tick();
  void set_timer();
  bool needs_timer() const;

  static constexpr uint32_t kMostListeners = 8192;
  RelayParts parts_;
  TcpRelay tcp_{parts_};
  UdpRelay udp_{parts_};
  Listener* listeners_ = nullptr;
  uint32_t count_ = 0;
  uint32_t streams_ = 0;
  uint32_t reserve_ = 0;  // connections that each listener may have when all others have taken what is left
  uint32_t paused_ = 0;   // listeners that are not waited for until there is room
  bool limited_ = false;  // some listener gives up idle connections
  Fd timer_;
  uint32_t timer_events_ = ReadySet::kAbsent;
  bool timer_runs_ = false;
};

}  // namespace boxctl
