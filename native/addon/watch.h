// Reads a launcher's events without Node's streams, which take longer to load than a container takes to start.
#pragma once

#include <napi.h>

namespace boxctl {

// watch(socket: number, onRecords: (records: Buffer | undefined) => void): void. Whole records as they come, undefined
// at the end, after which the socket is not touched any more. Keeps the event loop alive until then.
Napi::Value watch(const Napi::CallbackInfo& info);

// hangUp(socket: number): void. Ends the conversation for both sides; the descriptor stays the caller's.
Napi::Value hang_up(const Napi::CallbackInfo& info);

}  // namespace boxctl
