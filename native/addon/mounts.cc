#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>

#include <string>

#include "../shared/fd.h"
#include "../shared/syscalls.h"
#include "result.h"

namespace boxctl {
namespace {

long configure(const Fd& context, unsigned command, const char* key, const char* value) {
  return call(kSysFsconfig, context.get(), command, key, value, 0);
}

// Returns the mount, or -errno.
long mount_erofs(const char* index, const char* data) {
  const Fd context(static_cast<int>(call(kSysFsopen, "erofs", FSOPEN_CLOEXEC)));
  if (!context.valid()) return -ENODEV;
  // Without this the kernel opens index and archive for writing.
  long error = configure(context, FSCONFIG_SET_FLAG, "ro", nullptr);
  if (error >= 0) error = configure(context, FSCONFIG_SET_STRING, "source", index);
  if (error >= 0) error = configure(context, FSCONFIG_SET_STRING, "device", data);
  if (error >= 0) error = configure(context, FSCONFIG_CMD_CREATE, nullptr, nullptr);
  return error < 0 ? error : call(kSysFsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
}

}  // namespace

Napi::Value mount_index(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string index = info[0].As<Napi::String>().Utf8Value();
  std::string data;
  if (info[1].IsNumber()) {
    data = "/proc/self/fd/" + std::to_string(info[1].As<Napi::Number>().Int32Value());
  } else {
    data = info[1].As<Napi::String>().Utf8Value();
  }
  const long made = mount_erofs(index.c_str(), data.c_str());
  if (made < 0) return fail(env, "mount", static_cast<int>(-made));
  Fd mount(static_cast<int>(made));
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
  const Fd copy(static_cast<int>(call(kSysOpenTree, mount.get(), "", flags)));
  return copy.valid() ? Napi::Number::New(env, mount.release()) : env.Undefined();
}

}  // namespace boxctl
