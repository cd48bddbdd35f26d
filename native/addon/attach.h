// The caller's side of `boxctl attach`: carries bytes between descriptors 0, 1 and 2 and a launcher's socket.
#pragma once

#include <napi.h>

namespace boxctl {

// attach(socket: number, input: boolean, terminal: boolean, fromStart: boolean, detachKeys: Buffer, onEnd: (how:
// string, value: number) => void): void. The launcher has been asked when it returns; all else is done on a thread.
// `terminal`: the container has one, so that a terminal that is descriptor 0 is raw until the end. `fromStart`: nothing
// is passed on until the command is started. The end is one of
//   exited, signaled   the command has ended: its status, or the signal
//   gone               the launcher has hung up
//   detached           the keys were typed
//   output             descriptor 1 or 2 takes no more: an errno
Napi::Value attach(const Napi::CallbackInfo& info);

}  // namespace boxctl
