#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../shared/fd.h"
#include "../wire/events.h"
#include "result.h"

namespace boxctl {
namespace {

constexpr size_t kRecord = sizeof(Record);
constexpr size_t kMost = 256 * kRecord;
constexpr size_t kStack = 256 * 1024;
constexpr int kMostReady = 64;

// What one socket has brought. An empty piece is its end.
struct Piece {
  int socket;
  std::string bytes;
};
using Pieces = std::vector<Piece>;

// A socket that is read, and the beginning of a record whose end has not come yet.
struct Watched {
  int socket;
  size_t have = 0;
  char bytes[kMost];
};

// Reads the sockets of all launchers of one of Node's threads, on a thread of its own.
class Reader {
 public:
  explicit Reader(Napi::ThreadSafeFunction function) : function_(function) {}

  // 0 or an errno.
  int start() {
    epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    stop_ = Fd(eventfd(0, EFD_CLOEXEC));
    if (!epoll_.valid() || !stop_.valid()) return errno;
    epoll_event event = {};
    event.events = EPOLLIN;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event) != 0) return errno;
    return start_thread();
  }

  void stop() const {
    const uint64_t one = 1;
    if (write(stop_.get(), &one, sizeof one) != sizeof one) return;
  }

  // In Node's thread. 0 or an errno.
  int add(const Napi::Env& env, int socket) {
    auto watched = std::make_unique_for_overwrite<Watched>();
    watched->socket = socket;
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = watched.get();
    // Before the thread can tell of its end.
    if (watching_++ == 0) function_.Ref(env);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event) != 0) {
      const int error = errno;
      ended(env);
      return error;
    }
    static_cast<void>(watched.release());
    return 0;
  }

  // In Node's thread: a socket has ended. Without one, Node may end.
  void ended(const Napi::Env& env) {
    if (--watching_ == 0) function_.Unref(env);
  }

 private:
  int start_thread() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, kStack);
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    // Signals are Node's business.
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const int error = pthread_create(
        &thread, &attributes,
        [](void* self) -> void* {
          static_cast<Reader*>(self)->run();
          return nullptr;
        },
        this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return error;
  }

  void run() {
    for (;;) {
      epoll_event ready[kMostReady];
      const int count = epoll_wait(epoll_.get(), ready, kMostReady, -1);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) break;
      auto pieces = std::make_unique<Pieces>();
      bool stopped = false;
      for (int i = 0; i < count; i++) {
        if (ready[i].data.ptr == nullptr) {
          stopped = true;
        } else {
          read_some(static_cast<Watched*>(ready[i].data.ptr), *pieces);
        }
      }
      if (stopped) break;
      if (pieces->empty()) continue;
      // Node is ending and has let go of the function already.
      if (function_.NonBlockingCall(pieces.get(), deliver) != napi_ok) break;
      static_cast<void>(pieces.release());
    }
    // The thread is the last to use this.
    delete this;
  }

  void read_some(Watched* watched, Pieces& pieces) const {
    const ssize_t got =
        recv(watched->socket, watched->bytes + watched->have, sizeof watched->bytes - watched->have, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
      // Taken out before anybody closes it: a launcher that was just made may hold a copy of the other end.
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watched->socket, nullptr);
      pieces.push_back({watched->socket, {}});
      delete watched;
      return;
    }
    watched->have += static_cast<size_t>(got);
    const size_t whole = watched->have - watched->have % kRecord;
    if (whole == 0) return;
    pieces.push_back({watched->socket, std::string(watched->bytes, whole)});
    memmove(watched->bytes, watched->bytes + whole, watched->have - whole);
    watched->have -= whole;
  }

  static void deliver(Napi::Env env, Napi::Function callback, Pieces* pieces);

  Fd epoll_;
  Fd stop_;
  Napi::ThreadSafeFunction function_;
  size_t watching_ = 1;  // as if of one: until the first socket is added
};

// Of this thread of Node's.
thread_local Reader* reader = nullptr;

void Reader::deliver(Napi::Env env, Napi::Function callback, Pieces* pieces) {
  const std::unique_ptr<Pieces> owned(pieces);
  // Node ends without an environment to call into.
  if (static_cast<napi_env>(env) == nullptr) return;
  for (const Piece& piece : *owned) {
    const Napi::HandleScope scope(env);
    const bool is_end = piece.bytes.empty();
    const Napi::Value records =
        is_end ? env.Undefined() : Napi::Buffer<char>::Copy(env, piece.bytes.data(), piece.bytes.size());
    if (is_end && reader != nullptr) reader->ended(env);
    callback.Call({Napi::Number::New(env, piece.socket), records});
  }
}

}  // namespace

Napi::Value listen_to_launchers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (reader != nullptr) return env.Undefined();
  auto function = Napi::ThreadSafeFunction::New(env, info[0].As<Napi::Function>(), "boxctl-events", 0, 1);
  auto made = std::make_unique<Reader>(function);
  if (const int error = made->start(); error != 0) {
    function.Release();
    return fail(env, "pthread_create", error);
  }
  reader = made.release();
  reader->ended(env);
  napi_add_env_cleanup_hook(
      env,
      [](void*) {
        reader->stop();
        reader = nullptr;
      },
      nullptr);
  return env.Undefined();
}

Napi::Value watch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (const int error = reader->add(env, info[0].As<Napi::Number>().Int32Value()); error != 0) {
    return fail(env, "epoll_ctl", error);
  }
  return env.Undefined();
}

Napi::Value hang_up(const Napi::CallbackInfo& info) {
  shutdown(info[0].As<Napi::Number>().Int32Value(), SHUT_RDWR);
  return info.Env().Undefined();
}

}  // namespace boxctl
