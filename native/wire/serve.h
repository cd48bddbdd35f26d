// Written by `npm run generate` from src/kernel/wire.ts.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

inline constexpr size_t kMaxPatch = 32768;

struct StartRequest {
  uint32_t flags;
  uint32_t kept_fds;
  uint64_t id;
  uint32_t patch_at;
  uint32_t patch_old;
  uint32_t patch_new;
  uint32_t reserved;
};
static_assert(sizeof(StartRequest) == 32);
static_assert(offsetof(StartRequest, flags) == 0);
static_assert(offsetof(StartRequest, kept_fds) == 4);
static_assert(offsetof(StartRequest, id) == 8);
static_assert(offsetof(StartRequest, patch_at) == 16);
static_assert(offsetof(StartRequest, patch_old) == 20);
static_assert(offsetof(StartRequest, patch_new) == 24);
static_assert(offsetof(StartRequest, reserved) == 28);

}  // namespace boxctl
