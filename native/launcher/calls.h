// Makes the calls of a plan: each is one system call with the plan's own arguments (src/kernel/calls.ts), as `boxctl
// plan` prints them.
#pragma once

#include <sys/types.h>

#include "../shared/fd.h"
#include "helper.h"
#include "plan.h"
#include "plan_file.h"
#include "slots.h"

namespace boxctl {

class Control;
class Events;
class HostAddresses;
class LeanMounts;
class Log;
class NetworkNames;
class NetworkRelay;
class NetworkTables;

// What a step may need besides its arguments; each of the two processes has its own.
struct Context {
  const Plan* plan = nullptr;
  Slots slots;
  uint32_t slot_count = 0;
  char id[13] = {};       // `$ID`: 12 hex digits
  bool again = false;     // the container has run before
  bool left_out = false;  // the last step was left out: an error that it tolerates, or a descriptor that is missing
  pid_t child = -1;       // `$CHILD`: the container's first process; 0 in that process itself
  pid_t inside = -1;      // once the command runs: the process by which others join the container
  Fd peer;                // the other side of the handover
  Fd received;            // what sendmsg brought, until recvmsg takes it
  Fd null;                // /dev/null of the host
  int given = -1;         // what secrets and configs hold (given.h)
  uint32_t sockets = 0;   // the caller's, at kFirstSocket and following
  NetworkRelay* relay = nullptr;
  NetworkNames* names = nullptr;
  NetworkTables* tables = nullptr;
  HostAddresses* addresses = nullptr;
  Control* control = nullptr;
  Events* events = nullptr;
  Fd* report = nullptr;          // of a launcher that was asked for: closed once the command runs
  LeanMounts* mounts = nullptr;  // where the first process can be born; null: among the host's
  Log* log = nullptr;
  uint32_t link = 0;  // `$LINK` in netlink messages: the interface that was asked for last
  PlanFile plan_file;
  Helper helper;          // the program that spawn_helper has started
  pid_t target = 0;       // `$TARGET`: the first process of the container that a process of this plan joins
  bool dumpable = false;  // the launcher was so at its start
};

struct Result {
  long value = 0;       // 0 or more, or -errno
  uint32_t detail = 0;  // which of several paths failed, a helper's exit status, and the like
  bool skipped = false;
};

// Sets the signal mask that the command starts with, and looks whether the launcher still lives. Before the command's
// filter, which may forbid either. 0 or -errno.
long prepare_command(const Context& context);

// Makes one call. A returned descriptor is put in its slot; descriptors at their last use are closed. `skipped`: an
// error that the plan tolerates, or a descriptor that such an error left absent, or `left_out`.
Result perform(Context& context, const Call& call, bool left_out = false);

}  // namespace boxctl
