// Makes the calls of a plan. Each is one system call with the plan's own arguments (src/plan/calls.ts), so that what
// was printed is what happens.
#pragma once

#include <sys/types.h>

#include "../shared/fd.h"
#include "plan.h"

namespace boxctl {

// What a step may need besides its arguments; each of the two processes has its own.
struct Context {
  int* slots = nullptr;  // descriptors by the plan's numbers, -1 where there is none
  uint32_t slot_count = 0;
  char id[13] = {};           // `$ID`: 12 hex digits
  pid_t child = -1;           // `$CHILD`: the container's first process; 0 in that process itself
  Fd peer;                    // the other side of the handover
  Fd received;                // what sendmsg brought, until recvmsg takes it
  unsigned long sigmask = 0;  // what the command starts with
};

struct Result {
  long value = 0;       // 0 or more, or -errno
  uint32_t detail = 0;  // which of several paths failed, a helper's exit status, and the like
  bool skipped = false;
};

// What comes before the command is executed and must not fail silently under its filter: the signal mask that it starts
// with, and a look at whether the launcher is still there. 0 or -errno.
long prepare_command(const Context& context);

// Makes one call. A returned descriptor is put in its slot; descriptors at their last use are closed. `skipped`: an
// error that the plan tolerates, or a descriptor that such an error left absent.
Result perform(Context& context, const Call& call);

// One message of the handover between the two processes, with at most one descriptor. False when the other is gone.
struct Handover {
  uint32_t kind = 0;
  uint32_t index = 0;
  int32_t error = 0;
  uint32_t detail = 0;
};
inline constexpr uint32_t kTurn = 1;
inline constexpr uint32_t kFailure = 2;
inline constexpr uint32_t kDescriptor = 3;
inline constexpr uint32_t kReady = 4;
inline constexpr uint32_t kListener = 5;
// Under a filter that asks a listener for every call, the message that brings the listener has to pass: the filter
// tells it by these flags, which mean nothing on a local socket (LISTENER_FLAGS in src/plan/constants.ts).
inline constexpr int kListenerFlags = 0x4 | 0x800 | 0x4000;
inline constexpr int kPlainFlags = 0x4000;  // MSG_NOSIGNAL
long send_handover(int socket, const Handover& message, int fd = -1, int flags = kPlainFlags);
// Returns 0, -ECONNRESET when the other side is gone, or another -errno. A descriptor replaces `received`.
long receive_handover(int socket, Handover& message, Fd& received);

}  // namespace boxctl
