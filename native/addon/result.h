// Failures of system calls as JavaScript errors with `errno` and `syscall`; src/native.ts puts them into words.
#pragma once

#include <napi.h>

namespace boxctl {

// Throws and returns undefined. `error` is an errno.
Napi::Value fail(const Napi::Env& env, const char* syscall, int error);
Napi::Error make_error(const Napi::Env& env, const char* syscall, int error);

}  // namespace boxctl
