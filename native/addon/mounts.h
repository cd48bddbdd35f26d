// Mounts that this process holds for the containers that it starts.
#pragma once

#include <napi.h>

namespace boxctl {

// mountIndex(index: string, data: number | string): number | undefined. A detached mount of an EROFS index over its
// data. Undefined: this kernel makes no copies of such a mount (before Linux 6.15).
Napi::Value mount_index(const Napi::CallbackInfo& info);

}  // namespace boxctl
