// Digests of what is at hand. Node's own module for them takes longer to load than a container takes to start.
#pragma once

#include <napi.h>

namespace boxctl {

// sha256(data: Uint8Array): string
Napi::Value sha256(const Napi::CallbackInfo& info);

}  // namespace boxctl
