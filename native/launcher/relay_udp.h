// Relays UDP datagrams. Each client (its address, its port, and the address that it sent to) has a flow: a socket that
// is connected to the target. The socket of a reply determines the client, and the kernel drops datagrams of other
// senders. An idle flow is closed after a time. When there is no room for a new flow, one without a reply is closed
// first.
//
// A reply is sent from the address to which the client had sent.
#pragma once

#include <stdint.h>

#include "../shared/list.h"
#include "relay_parts.h"

namespace boxctl {

class UdpRelay {
 public:
  explicit UdpRelay(RelayParts& parts) : parts_(parts) {}
  ~UdpRelay() { stop(); }
  UdpRelay(const UdpRelay&) = delete;
  UdpRelay& operator=(const UdpRelay&) = delete;

  // Makes the kernel report the address to which each datagram was sent. False: errno is set.
  static bool prepare(const Listener& listener);
  // For `capacity` flows of `listeners` listeners. Memory is taken at the first one. False: no random seed.
  bool start(uint32_t capacity, uint32_t listeners);
  // Gives back the memory of the buffer, which is empty between two events.
  static void give_back();
  // Passes on datagrams from clients.
  void receive(Listener& listener, uint32_t index, Listener* listeners);
  // Passes on replies from the target.
  void handle(const Token& token, Listener* listeners);
  void expire(Listener* listeners);
  void stop();
  bool is_empty() const { return open_ == 0; }

 private:
  // The key of a flow.
  struct Client {
    SocketAddress address;
    in6_addr local = {};     // the address that it sent to; IPv4 is in the first four bytes
    uint32_t interface = 0;  // the interface of a link-local address
  };
  struct Flow {
    int fd = -1;
    uint32_t events = ReadySet::kAbsent;
    uint32_t generation = 0;
    uint32_t listener = 0;
    uint32_t next = 0;  // index + 1 of the next flow in its chain or in the list of free ones
    uint64_t used = 0;
    bool in_use = false;
    bool answered = false;
    Client client;
  };

  static ssize_t take_datagram(const Listener& listener, Client& client);
  static void send_reply(const Listener& listener, const Client& client, size_t size);
  uint32_t& chain_of(uint32_t listener, const Client& client);
  Flow* find(uint32_t listener, const Client& client);
  Flow* make(Listener& listener, uint32_t index, const Client& client, size_t size, Listener* listeners);
  bool connect(Flow& flow, const Listener& listener, size_t size);
  bool make_room(const Listener& listener, uint32_t index, Listener* listeners);
  void close(Flow& flow, Listener& listener);

  static constexpr uint32_t kChains = 1024;
  RelayParts& parts_;
  List<Flow> flows_;
  List<uint32_t> chains_;
  uint32_t capacity_ = 0;
  uint32_t share_ = 0;  // the flows of each listener that others cannot take from it
  uint32_t used_ = 0;
  uint32_t free_ = 0;
  uint32_t open_ = 0;
  uint64_t seed_ = 0;
};

}  // namespace boxctl
