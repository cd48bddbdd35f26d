// How the two processes of a launch take turns.
#pragma once

#include <stdint.h>

#include "../shared/fd.h"
#include "../wire/flags.h"

namespace boxctl {

// One message between the two processes, with at most one descriptor.
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
inline constexpr uint32_t kStream = 6;  // index: which of 0, 1 and 2 the launcher relays through the descriptor
inline constexpr uint32_t kPassed = 7;  // index: the step of the launcher's that returned the descriptor
// A message with a listener is sent with kListenerFlags, which mean nothing on a local socket. The filter that makes
// the listener asks it about every call but a sendmsg with these flags; without that exception the message would wait
// for itself.
inline constexpr int kPlainFlags = 0x4000;  // MSG_NOSIGNAL
long send_handover(int socket, const Handover& message, int fd = -1, int flags = kPlainFlags);
// Returns 0, -ECONNRESET when the other side is gone, or another -errno. A descriptor replaces `received`.
long receive_handover(int socket, Handover& message, Fd& received);

}  // namespace boxctl
