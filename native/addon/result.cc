#include "result.h"

#include <string>

namespace boxctl {

Napi::Error make_error(const Napi::Env& env, const char* syscall, int error) {
  Napi::Error failure = Napi::Error::New(env, std::string(syscall) + " failed with error " + std::to_string(error));
  failure.Set("errno", Napi::Number::New(env, error));
  failure.Set("syscall", Napi::String::New(env, syscall));
  return failure;
}

Napi::Value fail(const Napi::Env& env, const char* syscall, int error) {
  make_error(env, syscall, error).ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace boxctl
