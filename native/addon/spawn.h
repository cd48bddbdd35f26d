// Starts the launcher from Node's process without copying its memory.
#pragma once

#include <napi.h>
#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "../shared/out_of_reach.h"

namespace boxctl {

using UserIds = std::vector<UserRange>;

// Executes the program with `fds` as its descriptors 0, 1, 2 and so on: its own file where `users`, those that
// processes of the container can have, cannot write to it, otherwise a sealed copy. Null: they can have any. `hears`:
// signals end it; else they stay blocked, and it reads them itself. The pid, or -errno.
int spawn_program(const std::string& path, const UserIds* users, const int* fds, int count, bool hears, int& pidfd);

// The bytes in a file in memory that nobody can change. The descriptor, or -errno.
int seal_bytes(const uint8_t* data, size_t size);

// sealPlan(plan: Uint8Array): number
Napi::Value seal_plan(const Napi::CallbackInfo& info);

// spawnLauncher(program: string, plan: Uint8Array, stdin: number, stdout: number, stderr: number, kept: number[],
//   userIds?: number[]) → { pid, pidfd, socket }
Napi::Value spawn_launcher(const Napi::CallbackInfo& info);

// startedWithFiles(limit: number): void. The soft limit of open files that programs are started with.
Napi::Value started_with_files(const Napi::CallbackInfo& info);

// reap(pidfd: number): void. Waits for the launcher's end, which has come or is about to, and closes the descriptor.
Napi::Value reap(const Napi::CallbackInfo& info);

}  // namespace boxctl
