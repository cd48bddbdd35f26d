#include "engine.h"

#include <dlfcn.h>

namespace boxctl {

Napi::Value set_baseline(const Napi::CallbackInfo& info) {
  // v8::V8::SetFlagsFromString(const char*), as v8.setFlagsFromString() calls it: to load node:v8 would take longer
  // than a third of what is gained. It is no part of Node-API: where there is no such function, nothing is changed.
  using SetFlags = void (*)(const char*);
  const auto set_flags = reinterpret_cast<SetFlags>(dlsym(RTLD_DEFAULT, "_ZN2v82V818SetFlagsFromStringEPKc"));
  if (set_flags != nullptr) set_flags(info[0].As<Napi::Boolean>() ? "--sparkplug" : "--no-sparkplug");
  return info.Env().Undefined();
}

}  // namespace boxctl
