// The launcher as the container's parent. It waits for everything at once: the owner's orders, signals, the command's
// end and its time limit, the caller's streams or terminal, what is relayed for its network, and system calls that are
// only counted.
#pragma once

#include <stdint.h>

#include "../shared/fd.h"
#include "calls.h"
#include "command.h"
#include "console.h"
#include "control.h"
#include "events.h"
#include "health.h"
#include "hooks.h"
#include "host_addresses.h"
#include "log.h"
#include "network_names.h"
#include "network_relay.h"
#include "network_tables.h"
#include "observer.h"
#include "plan.h"
#include "poller.h"
#include "relay.h"
#include "terminal.h"

namespace boxctl {

class Supervisor {
 public:
  // `owner`: the socket to the process that started the launcher, -1 once that has gone or has left the container to
  // the launcher. `signals`: a signalfd.
  Supervisor(const Plan& plan, Context& context, Events& events, Control& control, int& owner, int signals)
      : context_(context),
        events_(events),
        owner_(owner),
        signals_(signals),
        plan_(plan),
        command_(plan, events),
        network_tables_(plan, context),
        host_addresses_(context),
        control_(control),
        log_(*context.log),
        console_(log_, control) {
    control_.start(
        getuid(), this, [](void* self, const Order& order) { static_cast<Supervisor*>(self)->take_order(order); },
        &console_);
  }

  Command& command() { return command_; }
  Terminal& terminal() { return terminal_; }
  Relay& relay() { return relay_; }
  Observer& observer() { return observer_; }
  NetworkRelay& network_relay() { return network_relay_; }
  NetworkNames& network_names() { return network_names_; }
  NetworkTables& network_tables() { return network_tables_; }
  HostAddresses& host_addresses() { return host_addresses_; }

  // Takes the launcher's end of the pipe that the command has as descriptor `fd`. False: `fd` is not 0, 1 or 2.
  bool add_stream(uint32_t fd, Fd pipe);
  // Takes the master of the command's terminal. `with_input`: the caller's input goes to it.
  void add_terminal(Fd master, bool with_input);

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
  // Closes the caller's descriptors, since its pipes must end when the command closes them: those that the command has,
  // or with `relayed` also those that the launcher writes to itself.
  void close_standard_streams(bool relayed);

  // Somebody has asked for the end of the container, and not for its restart.
  bool told_to_end() const { return told_to_end_; }
  bool told_to_restart() const { return told_to_restart_ && !told_to_end_; }
  // A hook of the command's beginning has failed, and the command was stopped for that.
  bool hook_failed() const { return hook_failed_; }
  // The command has ended: nothing is run beside it any more.
  void end_execs();
  // Between two runs: waits so many milliseconds, unless told something earlier. False: told to end.
  bool await_restart(uint64_t ms);

 private:
  void add_sources();
  void advance_execs();
  bool delays_stop();
  bool peer_has_message() const;
  void read_order(short happened);
  void read_signal(short happened);
  void reap_orphans();
  void give_back() const;
  void take_order(const Order& order);
  void stop(uint32_t grace);
  void restart(uint32_t grace);
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
  int& owner_;
  const int signals_;
  const Plan& plan_;
  Command command_;
  Terminal terminal_;
  Relay relay_;
  Observer observer_;
  NetworkRelay network_relay_;
  NetworkNames network_names_;
  NetworkTables network_tables_;
  HostAddresses host_addresses_;
  Control& control_;
  Log& log_;
  Console console_;
  Health health_;
  Hooks hooks_;
  Poller poller_;
  bool go_ = false;  // the owner's order that the command may start
  bool hook_failed_ = false;
  bool told_to_end_ = false;
  bool told_to_restart_ = false;
  bool lease_broken_ = false;
  uint32_t wanted_ = 0;
  uint64_t early_ = 0;        // signals that came before the command ran, a bit each
  bool pause_early_ = false;  // boxctl was stopped before the command ran
};

}  // namespace boxctl
