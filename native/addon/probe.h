// Which system calls this kernel, or the seccomp filter of a container around us, lets be made at all.
#pragma once

#include <napi.h>

namespace boxctl {

// probeCalls(): Record<string, number>: the errno of each call with arguments that it must refuse; of
// `landlock_create_ruleset` the version of Landlock, or 0.
Napi::Value probe_calls(const Napi::CallbackInfo& info);

}  // namespace boxctl
