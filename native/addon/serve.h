// The launcher that is already there: one for all of Node's threads, started when it is needed first.
#pragma once

#include <napi.h>

namespace boxctl {

// askLauncher(program: string, plan: Uint8Array | number, request: {flags, id, patchAt, patchOld, patch},
//     stdin: number, stdout: number, stderr: number, kept: number[]) → { socket, id } | undefined
// Undefined: so many requests wait already that this one has to be made again later.
Napi::Value ask_launcher(const Napi::CallbackInfo& info);

// dismissLauncher(): void. It ends; the containers go on.
Napi::Value dismiss_launcher(const Napi::CallbackInfo& info);

}  // namespace boxctl
