// Relays the connections and datagrams of the launcher's sockets to other addresses: those for published ports that the
// kernel's rules do not send to the container, and DNS queries of the container to name servers that only the host can
// reach.
//
// All descriptors are in one epoll instance, which the launcher's own loop waits for. `handle` returns after some two
// milliseconds, whatever the peers do: the same process passes on signals and waits for the command's end.
#pragma once

#include <stdint.h>

#include <utility>

#include "../shared/fd.h"
#include "poller.h"
#include "relay_parts.h"
#include "relay_tcp.h"
#include "relay_udp.h"

namespace boxctl {

class NetworkRelay {
 public:
  // Addresses to try for one listener, such as an IPv4 and an IPv6 address.
  static constexpr uint32_t kMostTargets = 2;
  struct Options {
    int network = -1;  // the network namespace of the sockets to the targets; -1: the launcher's own
    const SocketAddress* targets = nullptr;
    uint32_t target_count = 0;
    uint32_t most = 0;
    uint32_t idle = 0;
  };

  NetworkRelay() = default;
  ~NetworkRelay();
  NetworkRelay(const NetworkRelay&) = delete;
  NetworkRelay& operator=(const NetworkRelay&) = delete;

  // Adds a socket that listens (TCP) or is bound (UDP). The descriptors are copied. Returns 0 or -errno.
  long add(int socket, const Options& options);
  // Begins to relay. Before, connections wait in the socket's queue in the kernel. Returns 0 or -errno.
  long start();
  void add_sources(Poller& poller) { poller.add<&NetworkRelay::handle>(parts_.ready.fd(), POLLIN, *this); }
  void handle(short happened = 0);
  // Once after a second without anything to relay: the buffers' memory is given back then.
  bool has_rested() { return std::exchange(rested_, false); }
  // To be called when the container has ended. Passes on what the container has sent, as far as the peers take it at
  // once, and closes all sockets.
  void stop();

 private:
  bool grow();
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
  uint32_t room_ = 0;
  uint32_t streams_ = 0;
  uint32_t reserve_ = 0;  // the connections that are kept free for each listener
  uint32_t paused_ = 0;   // listeners that accept nothing until there is room
  bool limited_ = false;  // some listener closes idle connections
  Fd timer_;
  uint32_t timer_events_ = ReadySet::kAbsent;
  bool timer_runs_ = false;
  bool active_ = false;  // something was relayed since the timer last fired
  bool warm_ = false;    // something was relayed, and no second has passed without
  bool rested_ = false;
};

}  // namespace boxctl
