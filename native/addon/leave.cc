#include "leave.h"

#include <unistd.h>

namespace boxctl {

Napi::Value leave(const Napi::CallbackInfo& info) {
  for (int fd = 0; fd < 3; fd++) {
    if (isatty(fd) != 0) return info.Env().Undefined();
  }
  _exit(info[0].As<Napi::Number>().Int32Value());
}

}  // namespace boxctl
