// The end of this process without Node's own way there.
#pragma once

#include <napi.h>

namespace boxctl {

// leave(status: number): void. Ends the process, and gives its memory and its threads back in one; Node takes a
// millisecond to do so by itself. Returns where a standard file is a terminal: Node gives that the settings back that
// it had.
Napi::Value leave(const Napi::CallbackInfo& info);

}  // namespace boxctl
