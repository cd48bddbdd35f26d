// Files as they are in the kernel's cache, without a copy. To whoever has one nothing happens when the file is
// replaced; a file that is cut short meanwhile kills the process (SIGBUS), as with each shared library.
#pragma once

#include <napi.h>

namespace boxctl {

// mapBytes(path: string): Buffer. To write to it kills the process, too.
Napi::Value map_bytes(const Napi::CallbackInfo& info);
// mapText(path: string): string | undefined. A text of ASCII; undefined where Node is older than 20.4.
Napi::Value map_text(const Napi::CallbackInfo& info);

}  // namespace boxctl
