#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "../shared/fd.h"
#include "../wire/descriptors.h"
#include "../wire/serve.h"
#include "result.h"
#include "spawn.h"

namespace boxctl {
namespace {

constexpr int kMostFds = kLauncherFds + kMaxKeptFds;

// Whom the kernel takes this process for. A launcher that was started as somebody else must not start containers for
// it.
struct Identity {
  uid_t uids[2] = {getuid(), geteuid()};
  gid_t gids[2] = {getgid(), getegid()};
  std::vector<gid_t> groups;

  Identity() {
    const int count = getgroups(0, nullptr);
    groups.resize(count > 0 ? static_cast<size_t>(count) : 0);
    const int got = getgroups(static_cast<int>(groups.size()), groups.data());
    groups.resize(got > 0 ? static_cast<size_t>(got) : 0);
  }
  bool operator==(const Identity& other) const {
    return memcmp(uids, other.uids, sizeof uids) == 0 && memcmp(gids, other.gids, sizeof gids) == 0 &&
           groups == other.groups;
  }
};

class Server {
 public:
  // 0 or -errno.
  int start(const std::string& program) {
    if (socket_.valid() && identity_ == Identity()) return 0;
    stop();
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return -errno;
    Fd ours(sockets[0]);
    const Fd theirs(sockets[1]);
    // Before anything is sent: the kernel writes down the sender of what is sent from now on.
    const int yes = 1;
    if (setsockopt(theirs.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0) return -errno;
    const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.valid()) return -errno;
    const int fds[] = {null.get(), null.get(), null.get(), theirs.get()};
    // It starts containers of every kind.
    const int pid = spawn_program(program, nullptr, fds, sizeof fds / sizeof *fds, true, pidfd_);
    if (pid < 0) return pid;
    socket_ = std::move(ours);
    identity_ = Identity();
    return 0;
  }

  // It ends when its socket does, and is a moment away from it.
  void stop() {
    if (!socket_.valid()) return;
    socket_.reset();
    siginfo_t status;
    while (waitid(P_PIDFD, static_cast<id_t>(pidfd_), &status, WEXITED) != 0 && errno == EINTR) {
    }
    close(pidfd_);
    pidfd_ = -1;
  }

  // 0 or -errno; -EAGAIN: not now.
  int ask(const msghdr& message) const {
    return sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
  }

 private:
  Fd socket_;
  int pidfd_ = -1;
  Identity identity_;
};

// Each of Node's threads has its own instance of the addon, but all of them share this.
std::mutex lock;
Server& server() {
  static Server one;
  return one;
}

// 48 bits, and not 0.
bool choose_id(uint64_t& id) {
  while (id == 0) {
    if (getrandom(&id, 6, 0) != 6) return false;
  }
  return true;
}

uint32_t number(const Napi::Object& of, const char* name) { return of.Get(name).As<Napi::Number>().Uint32Value(); }

int ask(const std::string& program, const StartRequest& head, const Napi::Uint8Array& patch, const int* fds,
        size_t count) {
  StartRequest copy = head;
  iovec parts[] = {{&copy, sizeof copy}, {const_cast<uint8_t*>(patch.Data()), patch.ByteLength()}};
  alignas(cmsghdr) char space[CMSG_SPACE(kMostFds * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = space;
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  cmsghdr* control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(control), fds, count * sizeof(int));
  const std::lock_guard<std::mutex> guard(lock);
  // Somebody may have killed it since: there is a new one then.
  for (int attempt = 0;; attempt++) {
    if (const int error = server().start(program); error != 0) return error;
    const int error = server().ask(message);
    if ((error != -EPIPE && error != -ECONNRESET) || attempt == 1) return error;
    server().stop();
  }
}

}  // namespace

Napi::Value ask_launcher(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto request = info[2].As<Napi::Object>();
  const auto patch = request.Get("patch").As<Napi::Uint8Array>();
  const auto kept = info[6].As<Napi::Array>();
  if (kept.Length() > kMaxKeptFds || patch.ByteLength() > kMaxPatch) return fail(env, "sendmsg", E2BIG);
  Fd made;
  int plan = -1;
  if (info[1].IsNumber()) {
    plan = info[1].As<Napi::Number>().Int32Value();
  } else {
    const auto bytes = info[1].As<Napi::Uint8Array>();
    made = Fd(plan = seal_bytes(bytes.Data(), bytes.ByteLength()));
    if (plan < 0) return fail(env, "memfd_create", -plan);
  }
  StartRequest head = {};
  head.flags = number(request, "flags");
  head.kept_fds = kept.Length();
  head.id = strtoull(request.Get("id").As<Napi::String>().Utf8Value().c_str(), nullptr, 16);
  head.patch_at = number(request, "patchAt");
  head.patch_old = number(request, "patchOld");
  head.patch_new = static_cast<uint32_t>(patch.ByteLength());
  if (!choose_id(head.id)) return fail(env, "getrandom", EIO);
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return fail(env, "socketpair", errno);
  Fd ours(sockets[0]);
  const Fd theirs(sockets[1]);
  int fds[kMostFds];
  size_t count = 0;
  fds[count++] = plan;
  fds[count++] = theirs.get();
  for (uint32_t i = 0; i < kept.Length(); i++) fds[count++] = kept.Get(i).As<Napi::Number>().Int32Value();
  for (uint32_t i = 0; i < 3; i++) fds[count++] = info[i + 3].As<Napi::Number>().Int32Value();
  const int error = ask(info[0].As<Napi::String>().Utf8Value(), head, patch, fds, count);
  if (error == -EAGAIN || error == -ETOOMANYREFS) return env.Undefined();
  if (error != 0) return fail(env, "sendmsg", -error);
  char id[17];
  snprintf(id, sizeof id, "%012llx", static_cast<unsigned long long>(head.id));
  Napi::Object result = Napi::Object::New(env);
  result.Set("socket", ours.release());
  result.Set("id", id);
  return result;
}

Napi::Value dismiss_launcher(const Napi::CallbackInfo& info) {
  const std::lock_guard<std::mutex> guard(lock);
  server().stop();
  return info.Env().Undefined();
}

}  // namespace boxctl
