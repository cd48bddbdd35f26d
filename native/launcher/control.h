// Orders from others than the process that started the launcher: from boxctl's later commands, over a socket in a
// folder that is the user's alone. A connection is also how they wait: it is closed when the launcher ends, and events
// that matter to them are sent to it.
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "events.h"
#include "poller.h"

namespace boxctl {

class Control {
 public:
  // A connection that no more are accepted beside: each has an entry in the poller's table.
  static constexpr size_t kMostClients = 8;
  using Handler = void (*)(void* owner, const Order& order);

  // `user`: who may connect, beside root.
  void start(uid_t user, void* owner, Handler handler);
  // 0 or -errno.
  long listen(int dirfd, const char* name);
  bool listens() const { return listener_.valid(); }
  void add_sources(Poller& poller);
  // Sends the event to every connection that can take it now.
  void tell(const Record& event);

 private:
  struct Client {
    Control* control = nullptr;
    Fd fd;
    void on_message(short happened);
  };
  void on_connection(short happened);

  uid_t user_ = 0;
  void* owner_ = nullptr;
  Handler handler_ = nullptr;
  Fd listener_;
  Client clients_[kMostClients];
};

}  // namespace boxctl
