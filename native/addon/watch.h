// Reads a launcher's events without Node's streams, which take longer to load than a container takes to start.
#pragma once

#include <napi.h>

namespace boxctl {

// listenToLaunchers(onRecords: (socket: number, records: Buffer | undefined) => void): void. Once for each of Node's
// threads: whole records as they come, undefined at the end of a socket, after which it is not touched any more.
Napi::Value listen_to_launchers(const Napi::CallbackInfo& info);

// watch(socket: number): void. Keeps the event loop alive until its end.
Napi::Value watch(const Napi::CallbackInfo& info);

// hangUp(socket: number): void. Ends the conversation for both sides; the descriptor stays the caller's.
Napi::Value hang_up(const Napi::CallbackInfo& info);

}  // namespace boxctl
