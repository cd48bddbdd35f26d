#include "addresses.h"

#include <errno.h>

#include <string>

#include "../shared/interface_addresses.h"
#include "result.h"

namespace boxctl {

Napi::Value interface_addresses(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string without = info[0].As<Napi::String>();
  InterfaceAddresses addresses(without.c_str());
  const long result = addresses.read();
  if (result < 0 && result != -EAGAIN) return fail(env, "netlink", static_cast<int>(-result));
  const auto& text = addresses.text();
  return Napi::String::New(env, text.size() == 0 ? "" : text.begin(), text.size());
}

}  // namespace boxctl
