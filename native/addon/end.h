// Ends what a killed launcher has left running.
#pragma once

#include <napi.h>

namespace boxctl {

// endProcess(pid, birth): kills the process, if it is the one that was born so, and waits for its end. True when it is
// gone, or never was.
Napi::Value end_process(const Napi::CallbackInfo& info);
// signalProcess(pid, birth, signal): true when it was sent; false when the process is gone, or was another.
Napi::Value signal_process(const Napi::CallbackInfo& info);
// endNamespace(id): kills every process in the mount namespace of this id, until there is none. False when some stay.
Napi::Value end_namespace(const Napi::CallbackInfo& info);

}  // namespace boxctl
