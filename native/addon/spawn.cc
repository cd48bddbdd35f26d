#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "../shared/fd.h"
#include "../shared/out_of_reach.h"
#include "../shared/syscalls.h"
#include "../wire/descriptors.h"
#include "result.h"

namespace boxctl {
namespace {

constexpr unsigned kMfdExec = 0x10;  // Linux 6.3; without it a warning in the log, or a refusal where that is the rule
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr size_t kStack = 64 * 1024;
// All that the launcher can be given; its program comes after those it is, and is closed by its execution.
constexpr int kMostFds = kLauncherFds + kMaxKeptFds;

bool copy_file(int from, int to, size_t size) {
  for (size_t left = size; left > 0;) {
    const ssize_t sent = sendfile(to, from, nullptr, left);
    if (sent <= 0) return false;
    left -= static_cast<size_t>(sent);
  }
  return true;
}

// A copy of the launcher that cannot be written to, not even through /proc/PID/exe in a container (CVE-2019-5736).
// Returns the descriptor, or -errno.
int seal_program(const char* path) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return -errno;
  struct stat status;
  if (fstat(file.get(), &status) != 0) return -errno;
  int made = memfd_create("boxctl-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdExec);
  if (made < 0 && errno == EINVAL) made = memfd_create("boxctl-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  Fd copy(made);
  if (copy.get() < 0) return -errno;
  if (!copy_file(file.get(), copy.get(), static_cast<size_t>(status.st_size))) return errno == 0 ? -EIO : -errno;
  if (fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0) return -errno;
  return copy.release();
}

// One copy of a program serves every launch of the process. Each of Node's threads has its own instance of the addon,
// but all of them share its static variables: hence the lock.
int sealed_copy(const std::string& path) {
  static std::mutex lock;
  static std::map<std::string, int> copies;
  const std::lock_guard<std::mutex> guard(lock);
  const auto known = copies.find(path);
  if (known != copies.end()) return known->second;
  const int made = seal_program(path.c_str());
  if (made >= 0) copies[path] = made;
  return made;
}

// The soft limit of open files that boxctl was started with; 0: nobody has told.
rlim_t files_at_start = 0;

// Node raises the soft limit of open files to the hard one at its start. Where nobody has told what it was before, it
// is most likely what the parent still has, unless that is a Node as well.
rlimit original_nofile() {
  rlimit own = {};
  getrlimit(RLIMIT_NOFILE, &own);
  if (files_at_start > 0) {
    own.rlim_cur = std::min(files_at_start, own.rlim_max);
    return own;
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/limits", static_cast<int>(getppid()));
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = file.get() < 0 ? -1 : read(file.get(), text, sizeof text - 1);
  if (size <= 0) return own;
  text[size] = '\0';
  const char* line = strstr(text, "Max open files");
  unsigned long soft = 0;
  if (line != nullptr && sscanf(line, "Max open files %lu", &soft) == 1 && soft > 0 && soft < own.rlim_max) {
    own.rlim_cur = soft;
  }
  return own;
}

struct Child {
  int program;
  int fds[kMostFds];  // what become 0, 1, 2 and so on
  int count;
  rlimit nofile;
  bool hears;
  int error;  // set where exec did not happen
};

// Runs on a stack of its own in memory shared with Node, which waits: nothing here may allocate, lock, or throw.
int start(void* argument) {
  auto* child = static_cast<Child*>(argument);
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  // Node ignores some signals and handles others; the container starts with none of that.
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &action, nullptr);
  // Beyond the numbers that are filled below.
  constexpr int kAside = kMostFds + 1;
  const int program_fd = child->count;
  int moved[kMostFds];
  for (int i = 0; i < child->count; i++) {
    moved[i] = fcntl(child->fds[i], F_DUPFD_CLOEXEC, kAside);
    if (moved[i] < 0) {
      child->error = errno;
      _exit(127);
    }
  }
  const int program = fcntl(child->program, F_DUPFD_CLOEXEC, kAside);
  for (int i = 0; i < child->count; i++) dup2(moved[i], i);
  if (program < 0 || dup3(program, program_fd, O_CLOEXEC) < 0) {
    child->error = errno;
    _exit(127);
  }
  syscall(kSysCloseRange, static_cast<unsigned>(program_fd) + 1, ~0U, 0U);
  setrlimit(RLIMIT_NOFILE, &child->nofile);
  sigset_t none;
  sigemptyset(&none);
  if (child->hears) sigprocmask(SIG_SETMASK, &none, nullptr);
  static char name[] = "boxctl-launcher";
  char* argv[] = {name, nullptr};
  char* envp[] = {nullptr};
  syscall(SYS_execveat, program_fd, "", argv, envp, AT_EMPTY_PATH);
  child->error = errno;
  _exit(127);
}

class Stack {
 public:
  Stack() : base_(mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {}
  ~Stack() {
    if (base_ != MAP_FAILED) munmap(base_, kStack);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  void* top() const { return base_ == MAP_FAILED ? nullptr : static_cast<char*>(base_) + kStack; }

 private:
  void* base_;
};

// Returns the pid, or -errno; `pidfd` is the caller's to close.
int spawn(Child& child, int& pidfd) {
  const Stack stack;
  if (stack.top() == nullptr) return -ENOMEM;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // A handler of Node's must not run in the child, which shares its memory.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int pid = clone(start, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &child, &pidfd);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return -error;
  const int failure = std::exchange(child.error, 0);
  if (failure == 0) return pid;
  waitpid(pid, nullptr, 0);
  close(pidfd);
  return -failure;
}

UserIds user_ids(const Napi::Array& numbers) {
  UserIds ids;
  for (uint32_t i = 0; i + 1 < numbers.Length(); i += 2) {
    ids.push_back(
        {numbers.Get(i).As<Napi::Number>().Uint32Value(), numbers.Get(i + 1).As<Napi::Number>().Uint32Value()});
  }
  return ids;
}

}  // namespace

int seal_bytes(const uint8_t* data, size_t size) {
  Fd plan(memfd_create("boxctl-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (plan.get() < 0) return -errno;
  for (size_t done = 0; done < size;) {
    const ssize_t wrote = write(plan.get(), data + done, size - done);
    if (wrote < 0) return -errno;
    done += static_cast<size_t>(wrote);
  }
  if (fcntl(plan.get(), F_ADD_SEALS, kSeals) != 0) return -errno;
  return plan.release();
}

int spawn_program(const std::string& path, const UserIds* users, const int* fds, int count, bool hears, int& pidfd) {
  Child child = {-1, {}, 0, original_nofile(), hears, 0};
  if (count > kMostFds) return -E2BIG;
  for (int i = 0; i < count; i++) child.fds[child.count++] = fds[i];
  int pid = -EACCES;
  if (users != nullptr) {
    const Fd file = open_out_of_reach(path.c_str(), users->data(), users->size());
    child.program = file.get();
    if (file.valid()) pid = spawn(child, pidfd);
  }
  // A copy can be executed even where the file lies in a file system without programs (noexec).
  if (pid != -EACCES) return pid;
  child.program = sealed_copy(path);
  return child.program < 0 ? child.program : spawn(child, pidfd);
}

Napi::Value seal_plan(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const int plan = seal_bytes(bytes.Data(), bytes.ByteLength());
  if (plan < 0) return fail(info.Env(), "memfd_create", -plan);
  return Napi::Number::New(info.Env(), plan);
}

Napi::Value spawn_launcher(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto bytes = info[1].As<Napi::Uint8Array>();
  const Fd plan(seal_bytes(bytes.Data(), bytes.ByteLength()));
  if (plan.get() < 0) return fail(env, "memfd_create", -plan.get());
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return fail(env, "socketpair", errno);
  Fd ours(sockets[0]);
  const Fd theirs(sockets[1]);
  int fds[kMostFds];
  int count = kLauncherFds;
  for (uint32_t i = 0; i < 3; i++) fds[i] = info[i + 2].As<Napi::Number>().Int32Value();
  fds[kPlanFd] = plan.get();
  fds[kControlFd] = theirs.get();
  const auto kept = info[5].As<Napi::Array>();
  if (kept.Length() > kMaxKeptFds) return fail(env, "execveat", E2BIG);
  for (uint32_t i = 0; i < kept.Length(); i++) fds[count++] = kept.Get(i).As<Napi::Number>().Int32Value();
  int pidfd = -1;
  const bool limited = info[6].IsArray();
  const UserIds users = limited ? user_ids(info[6].As<Napi::Array>()) : UserIds();
  const std::string program = info[0].As<Napi::String>().Utf8Value();
  const int pid = spawn_program(program, limited ? &users : nullptr, fds, count, false, pidfd);
  if (pid < 0) return fail(env, "execveat", -pid);
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", pid);
  result.Set("pidfd", pidfd);
  result.Set("socket", ours.release());
  return result;
}

Napi::Value started_with_files(const Napi::CallbackInfo& info) {
  files_at_start = static_cast<rlim_t>(info[0].As<Napi::Number>().Int64Value());
  return info.Env().Undefined();
}

Napi::Value reap(const Napi::CallbackInfo& info) {
  const int pidfd = info[0].As<Napi::Number>().Int32Value();
  siginfo_t status;
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &status, WEXITED) != 0 && errno == EINTR) {
  }
  close(pidfd);
  return info.Env().Undefined();
}

}  // namespace boxctl
