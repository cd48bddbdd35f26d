#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../shared/syscalls.h"

namespace boxctl {
namespace {

// Calls that are newer than the oldest headers that boxctl is built with; the same numbers on x86-64 and arm64. Each is
// made with arguments that the kernel refuses before it looks at anything else, so that none has an effect.
struct Probe {
  const char* name;
  long number;
  uint64_t args[5];
};
constexpr uint64_t kNone = ~uint64_t{0};
constexpr Probe kProbes[] = {
    {"open_tree", 428, {kNone, 0, kNone, 0, 0}},
    {"pidfd_open", 434, {0, kNone, 0, 0, 0}},
    {"clone3", 435, {0, 0, 0, 0, 0}},
    {"close_range", 436, {1, 0, 0, 0, 0}},
    {"openat2", 437, {kNone, 0, 0, 0, 0}},
    {"mount_setattr", 442, {kNone, 0, 0, 0, 0}},
};
constexpr unsigned kLandlockVersion = 1;

}  // namespace

Napi::Value probe_calls(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  for (const Probe& probe : kProbes) {
    const uint64_t* a = probe.args;
    const long value = syscall(probe.number, a[0], a[1], a[2], a[3], a[4]);
    result.Set(probe.name, Napi::Number::New(env, value < 0 ? errno : 0));
    if (value >= 0) close(static_cast<int>(value));
  }
  const long version = syscall(kSysLandlockCreateRuleset, nullptr, size_t{0}, kLandlockVersion);
  result.Set("landlock_create_ruleset", Napi::Number::New(env, version < 0 ? 0 : static_cast<double>(version)));
  return result;
}

}  // namespace boxctl
