// Starts the launcher from Node's process without copying its memory.
#pragma once

#include <napi.h>

namespace boxctl {

// spawnLauncher(program: string, plan: Uint8Array, stdin: number, stdout: number, stderr: number)
//   → { pid, pidfd, socket }
Napi::Value spawn_launcher(const Napi::CallbackInfo& info);

// reap(pidfd: number): void. Waits for the launcher's end, which has come or is about to, and closes the descriptor.
Napi::Value reap(const Napi::CallbackInfo& info);

}  // namespace boxctl
