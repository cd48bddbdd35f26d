#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <string>

#include "../shared/fd.h"
#include "../shared/syscalls.h"
#include "result.h"

namespace boxctl {
namespace {

// Opens, by name only (O_PATH), what `path` leads to inside the root `root`. -1 with errno.
int open_in_root(const std::string& root, const std::string& path) {
  const Fd folder(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return -1;
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(kSysOpenat2, folder.get(), path.c_str(), &how, sizeof how));
}

// The image's own business, to be seen as "it has none": not there, links in a circle, a file where a folder should be.
bool is_absent(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

int lock_operation(const Napi::CallbackInfo& info) { return info[1].ToBoolean() ? LOCK_EX : LOCK_SH; }

}  // namespace

Napi::Value read_in_root(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Fd handle(open_in_root(info[0].As<Napi::String>(), info[1].As<Napi::String>()));
  if (handle.get() < 0) return is_absent(errno) ? env.Undefined() : fail(env, "openat2", errno);
  struct stat status;
  if (fstat(handle.get(), &status) != 0) return fail(env, "fstat", errno);
  // Reading a device has effects, and a fifo waits.
  if (!S_ISREG(status.st_mode)) return env.Undefined();
  const auto limit = static_cast<size_t>(info[2].As<Napi::Number>().Int64Value());
  if (static_cast<size_t>(status.st_size) > limit) return fail(env, "read", EFBIG);
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", handle.get());
  const Fd file(open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.get() < 0) return fail(env, "open", errno);
  std::string content(static_cast<size_t>(status.st_size), '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = read(file.get(), content.data() + done, content.size() - done);
    if (got < 0) return fail(env, "read", errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return Napi::Buffer<char>::Copy(env, content.data(), done);
}

Napi::Value stat_in_root(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Fd handle(open_in_root(info[0].As<Napi::String>(), info[1].As<Napi::String>()));
  if (handle.get() < 0) return is_absent(errno) ? env.Undefined() : fail(env, "openat2", errno);
  struct stat status;
  if (fstat(handle.get(), &status) != 0) return fail(env, "fstat", errno);
  Napi::Object result = Napi::Object::New(env);
  result.Set("mode", status.st_mode);
  result.Set("size", static_cast<double>(status.st_size));
  result.Set("uid", status.st_uid);
  result.Set("gid", status.st_gid);
  return result;
}

// What is opened is judged by its descriptor. A link anywhere on the way is ELOOP; another owner, or anything that
// others can write to, is EPERM.
Napi::Value open_own(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = info[0].As<Napi::String>();
  const bool folder = info[1].ToBoolean();
  open_how how = {};
  how.flags = O_CLOEXEC | (folder ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK | O_NOCTTY);
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  Fd file(static_cast<int>(syscall(kSysOpenat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (file.get() < 0) return fail(env, "openat2", errno);
  struct stat status;
  if (fstat(file.get(), &status) != 0) return fail(env, "fstat", errno);
  const bool is_kind = folder ? S_ISDIR(status.st_mode) : S_ISREG(status.st_mode);
  const mode_t others = S_IWGRP | S_IWOTH;
  if (!is_kind || status.st_uid != geteuid() || (status.st_mode & others) != 0) return fail(env, "fstat", EPERM);
  return Napi::Number::New(env, file.release());
}

Napi::Value try_lock(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (flock(info[0].As<Napi::Number>().Int32Value(), lock_operation(info) | LOCK_NB) == 0) {
    return Napi::Boolean::New(env, true);
  }
  return errno == EWOULDBLOCK ? Napi::Boolean::New(env, false) : fail(env, "flock", errno);
}

Napi::Value make_pipe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail(env, "pipe2", errno);
  // A user whose pipes hold much already gets the usual size (pipe(7), pipe-user-pages-soft).
  if (info[0].IsNumber()) fcntl(ends[1], F_SETPIPE_SZ, info[0].As<Napi::Number>().Int32Value());
  Napi::Array result = Napi::Array::New(env, 2);
  result.Set(0U, ends[0]);
  result.Set(1U, ends[1]);
  return result;
}

Napi::Value terminal_state(const Napi::CallbackInfo& info) {
  termios state;
  if (tcgetattr(info[0].As<Napi::Number>().Int32Value(), &state) != 0) return info.Env().Undefined();
  return Napi::Buffer<char>::Copy(info.Env(), reinterpret_cast<const char*>(&state), sizeof state);
}

Napi::Value restore_terminal(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto bytes = info[1].As<Napi::Uint8Array>();
  termios state;
  if (bytes.ByteLength() != sizeof state) return fail(env, "tcsetattr", EINVAL);
  memcpy(&state, bytes.Data(), sizeof state);
  if (tcsetattr(info[0].As<Napi::Number>().Int32Value(), TCSADRAIN, &state) != 0) return fail(env, "tcsetattr", errno);
  return env.Undefined();
}

Napi::Value terminal_columns(const Napi::CallbackInfo& info) {
  winsize size = {};
  const bool known = ioctl(info[0].As<Napi::Number>().Int32Value(), TIOCGWINSZ, &size) == 0;
  return Napi::Number::New(info.Env(), known ? size.ws_col : 0);
}

Napi::Value terminal_rows(const Napi::CallbackInfo& info) {
  winsize size = {};
  const bool known = ioctl(info[0].As<Napi::Number>().Int32Value(), TIOCGWINSZ, &size) == 0;
  return Napi::Number::New(info.Env(), known ? size.ws_row : 0);
}

}  // namespace boxctl
