#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "result.h"

namespace boxctl {
namespace {

constexpr size_t kRecord = 32;  // as in src/launcher/launch.ts
constexpr size_t kMost = 256 * kRecord;
constexpr size_t kStack = 256 * 1024;

struct Watch {
  int socket;
  Napi::ThreadSafeFunction function;
};

// In Node's thread. An empty piece is the end.
void deliver(Napi::Env env, Napi::Function callback, std::string* piece) {
  const std::unique_ptr<std::string> owned(piece);
  // Node ends without an environment to call into.
  if (static_cast<napi_env>(env) == nullptr) return;
  const Napi::Value records =
      owned->empty() ? env.Undefined() : Napi::Buffer<char>::Copy(env, owned->data(), owned->size());
  callback.Call({records});
}

bool pass_on(const Watch& watch, std::string piece) {
  auto owned = std::make_unique<std::string>(std::move(piece));
  if (watch.function.NonBlockingCall(owned.get(), deliver) != napi_ok) return false;
  static_cast<void>(owned.release());
  return true;
}

void* run(void* argument) {
  const std::unique_ptr<Watch> watch(static_cast<Watch*>(argument));
  char bytes[kMost];
  size_t have = 0;
  for (;;) {
    const ssize_t got = read(watch->socket, bytes + have, sizeof bytes - have);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<size_t>(got);
    const size_t whole = have - have % kRecord;
    if (whole == 0) continue;
    // Node is ending and has let go of the function already.
    if (!pass_on(*watch, std::string(bytes, whole))) return nullptr;
    memmove(bytes, bytes + whole, have - whole);
    have -= whole;
  }
  if (pass_on(*watch, std::string())) watch->function.Release();
  return nullptr;
}

// 0 or an errno. Signals are Node's business.
int start_thread(Watch* watch) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStack);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, run, watch);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace

Napi::Value watch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto callback = info[1].As<Napi::Function>();
  auto function = Napi::ThreadSafeFunction::New(env, callback, "boxctl-events", 0, 1);
  auto owned = std::make_unique<Watch>(Watch{info[0].As<Napi::Number>().Int32Value(), function});
  if (const int error = start_thread(owned.get()); error != 0) {
    function.Release();
    return fail(env, "pthread_create", error);
  }
  static_cast<void>(owned.release());
  return env.Undefined();
}

Napi::Value hang_up(const Napi::CallbackInfo& info) {
  shutdown(info[0].As<Napi::Number>().Int32Value(), SHUT_RDWR);
  return info.Env().Undefined();
}

}  // namespace boxctl
