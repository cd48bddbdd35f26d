#include "connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

#include "../shared/fd.h"
#include "result.h"

namespace boxctl {

Napi::Value connect_to(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string folder = info[0].As<Napi::String>();
  const std::string name = info[1].As<Napi::String>();
  const Fd at(open(folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (at.get() < 0) return fail(env, "open", errno);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // The folder by its descriptor: its path may be longer than an address can be.
  const int size = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", at.get(), name.c_str());
  if (size < 0 || static_cast<size_t>(size) >= sizeof address.sun_path) return fail(env, "connect", ENAMETOOLONG);
  Fd made(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (made.get() < 0) return fail(env, "socket", errno);
  if (connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(env, "connect", errno);
  }
  return Napi::Number::New(env, made.release());
}

}  // namespace boxctl
