// Carries TCP connections. For each that a listener accepts, the outer one, the launcher connects to the target, the
// inner one, and copies both ways. No byte is kept in the launcher: what the one side has sent stays in the kernel's
// buffer of that socket until the other side has taken it, so that a peer that does not read costs no memory here, and
// holds up nobody but its own partner.
//
// An end of sending (FIN) is passed on by itself; the other way goes on. A reset, and a target where nothing listens,
// is a reset for the other side.
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

  // Room for so many connections at once. False: no memory.
  bool start(uint32_t capacity);
  uint32_t room() const { return capacity_ - open_; }
  bool is_empty() const { return open_ == 0; }
  // Takes one connection that waits at the listener. `index` is the listener's. False: none was taken; errno says why.
  bool accept(Listener& listener, uint32_t index);
  // Returns the listener of a connection that has ended by this event; null while it goes on.
  Listener* handle(const Token& token, uint32_t events, Listener* listeners);
  // Passes on what the inner sides have sent, as far as it is taken at once and before `until` (in ns), and closes all.
  void stop(uint64_t until);
  // Ends connections that carried nothing for as long as their listener allows.
  void expire(Listener* listeners);

 private:
  enum Side : uint8_t { kOuter, kInner };
  static constexpr Side other(Side side) { return side == kOuter ? kInner : kOuter; }

  // One of the two sockets, and the way of the bytes that it receives.
  struct End {
    int fd = -1;
    uint32_t events = ReadySet::kAbsent;
    bool done = false;  // its last byte was passed on, or nobody takes any more
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
  uint32_t used_ = 0;  // those from here on were never in use
  uint32_t free_ = 0;  // index + 1 of the first free one before
  uint32_t open_ = 0;
};

}  // namespace boxctl
