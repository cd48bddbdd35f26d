// The launcher as the container's parent. It waits for everything at once: the owner's orders, signals, the command's
// end and its time limit, the caller's streams or terminal, what is relayed for its network, and system calls that are
// only counted.
#pragma once

#include <stdint.h>

#include "../shared/fd.h"
#include "calls.h"
#include "command.h"
#include "control.h"
#include "events.h"
#include "network_relay.h"
#include "observer.h"
#include "plan.h"
#include "poller.h"
#include "relay.h"
#include "terminal.h"

namespace boxctl {

class Supervisor {
 public:
  Supervisor(const Plan& plan, Context& context, Events& events, int control)
      : context_(context), events_(events), owner_(control), command_(plan, events) {
    events.listen(&control_, [](void* control, const Record& event) { static_cast<Control*>(control)->tell(event); });
    control_.start(getuid(), this,
                   [](void* self, const Order& order) { static_cast<Supervisor*>(self)->take_order(order); });
  }

  // From here on signals are read from a descriptor. 0 or -errno.
  long block_signals();

  Command& command() { return command_; }
  Terminal& terminal() { return terminal_; }
  Relay& relay() { return relay_; }
  Observer& observer() { return observer_; }
  NetworkRelay& network_relay() { return network_relay_; }
  Control& control() { return control_; }

  // Each of these two waits for one thing while the container is set up, and ends early when the setup is to end:
  // `wanted` is then the signal that asked for that. 0 or -errno.
  long await_peer();
  long await_go();
  uint32_t wanted() const { return wanted_; }

  // The command runs.
  void started();
  // Waits for its end.
  End watch();
  // Carries what it wrote to where the caller wants it. The reader may take its time; a caller who cannot wait ends
  // boxctl by the same signals as the command.
  void deliver_rest();

 private:
  void add_sources();
  bool peer_has_message() const;
  void close_standard_streams();
  void read_order(short happened);
  void read_signal(short happened);
  void take_order(const Order& order);
  void stop(uint32_t grace);
  void lose_owner();
  void break_lease();
  void take_signal(uint32_t signal);
  void keep_signal(uint32_t signal);
  void pass_on(uint32_t signal);
  void pass_on_early();
  void pause();
  void resume();

  Context& context_;
  Events& events_;
  const int owner_;  // the socket to the process that started the launcher
  Command command_;
  Terminal terminal_;
  Relay relay_;
  Observer observer_;
  NetworkRelay network_relay_;
  Control control_;
  Poller poller_;
  Fd signals_;
  bool go_ = false;  // the owner's order that the command may start
  bool owner_gone_ = false;
  bool lease_broken_ = false;
  uint32_t wanted_ = 0;
  uint64_t early_ = 0;        // signals that came before the command ran, a bit each
  bool pause_early_ = false;  // boxctl was stopped before the command ran
};

}  // namespace boxctl
