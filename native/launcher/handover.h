// How the two processes of a launch take turns.
#pragma once

#include <stdint.h>

#include "../shared/fd.h"
#include "../wire/flags.h"

namespace boxctl {

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
inline constexpr uint32_t kStream = 6;  // index: which of 0, 1 and 2 the launcher relays through the descriptor
// A message that brings a listener is sent with kListenerFlags: a filter that asks the listener for every call lets
// only this one pass, and these flags mean nothing on a local socket.
inline constexpr int kPlainFlags = 0x4000;  // MSG_NOSIGNAL
long send_handover(int socket, const Handover& message, int fd = -1, int flags = kPlainFlags);
// Returns 0, -ECONNRESET when the other side is gone, or another -errno. A descriptor replaces `received`.
long receive_handover(int socket, Handover& message, Fd& received);

}  // namespace boxctl
