// Signals that reach this process, for the container that it runs.
#pragma once

#include <napi.h>

namespace boxctl {

// catchSignals(except): every signal that can be caught and has a meaning for a container is kept from now on, but
// those of the list. SIGHUP stays ignored where this process was started so (nohup(1)).
Napi::Value catch_signals(const Napi::CallbackInfo& info);
// passSignals(socket, launcher): what was kept and what comes is told to the launcher, by orders over its socket.
Napi::Value pass_signals(const Napi::CallbackInfo& info);
// releaseSignals(): signals do what they did before.
Napi::Value release_signals(const Napi::CallbackInfo& info);

}  // namespace boxctl
