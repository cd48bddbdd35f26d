// V8, which runs boxctl's JavaScript.
#pragma once

#include <napi.h>

namespace boxctl {

// setBaseline(on: boolean): void. V8 compiles functions that have run a few times without optimisation (Sparkplug),
// many at a time. A start ends before that has paid off. Functions that run for long are optimised either way. V8
// rejects a cache of compiled code that was written with other flags: those of Node's own modules with `on`, which is
// the default.
Napi::Value set_baseline(const Napi::CallbackInfo& info);

}  // namespace boxctl
