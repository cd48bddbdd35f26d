// Connections to launchers that run on their own (native/launcher/control.h).
#pragma once

#include <napi.h>

namespace boxctl {

// connectTo(folder: string, name: string): number. The descriptor is the caller's to close.
Napi::Value connect_to(const Napi::CallbackInfo& info);

}  // namespace boxctl
