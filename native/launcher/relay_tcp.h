// Relays TCP connections. A listener accepts the outer connection. The launcher makes an inner connection to the
// target, and copies both ways. It buffers no bytes: they stay in the kernel's buffer of the one socket until the other
// socket takes them. A peer that does not read thus costs no memory here, and delays only its own connection.
//
// The end of sending (FIN) is passed on for each way by itself. After a reset, or if nothing listens on the target, the
// other side gets a reset.
#pragma once

#include <stdint.h>

#include "../shared/list.h"
#include "relay_parts.h"

namespace boxctl {

class TcpRelay {
 public:
  explicit TcpRelay(RelayParts& parts) : parts_(parts) {}
  ~TcpRelay() { stop(0); }
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  // For `capacity` connections at once. Memory is taken at the first one.
  void start(uint32_t capacity) { capacity_ = capacity; }
  // Gives back the memory of the buffer, which is empty between two events.
  static void give_back();
  uint32_t room() const { return capacity_ - open_; }
  bool is_empty() const { return open_ == 0; }
  // Accepts one connection. `index` is the listener's. False: none was accepted, and errno is set.
  bool accept(Listener& listener, uint32_t index);
  // Handles an event of a connection. Returns its listener if the connection has ended, otherwise null.
  Listener* handle(const Token& token, uint32_t events, Listener* listeners);
  // Passes on what the inner sides have sent, if the outer sides take it at once, until the time `until` (in ns).
  // Closes all connections.
  void stop(uint64_t until);
  // Resets connections that have carried nothing for the idle time of their listener.
  void expire(Listener* listeners);

 private:
  enum Side : uint8_t { kOuter, kInner };
  static constexpr Side other(Side side) { return side == kOuter ? kInner : kOuter; }

  // One of the two sockets. `done` and `full` are about the bytes that it receives.
  struct End {
    int fd = -1;
    uint32_t events = ReadySet::kAbsent;
    bool done = false;  // the last byte was passed on, or the other side takes no more at all
    bool full = false;  // the other side takes no more now
  };
  struct Connection {
    End ends[2];
    uint32_t generation = 0;
    uint32_t listener = 0;
    uint32_t next_free = 0;
    uint32_t target = 0;
    uint64_t used = 0;
    bool in_use = false;
    bool connecting = false;
    bool broken = false;  // one side was reset
  };

  bool connect(Connection& connection, const Listener& listener);
  void handle_connecting(Connection& connection, Side side, uint32_t events, const Listener& listener);
  void handle_open(Connection& connection, Side side, uint32_t events);
  void carry(Connection& connection, Side from);
  static void give_up_sending(Connection& connection, Side to);
  bool update(Connection& connection);
  bool wait_for(Connection& connection, Side side, uint32_t wanted);
  static void abandon(Connection& connection);
  static bool has_ended(const Connection& connection);
  void close(Connection& connection, Listener& listener);
  static void close_ends(Connection& connection);

  RelayParts& parts_;
  List<Connection> connections_;
  uint32_t capacity_ = 0;
  uint32_t used_ = 0;  // the entries from this index on were never in use
  uint32_t free_ = 0;  // index + 1 of the first free entry before `used_`
  uint32_t open_ = 0;
};

}  // namespace boxctl
