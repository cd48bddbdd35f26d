#include "process.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../shared/syscalls.h"
#include "files.h"
#include "lean_mounts.h"
#include "text.h"

namespace boxctl {

long clone_process(Context& context, const Call& c, int cgroup) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return -errno;
  Fd ours(sockets[0]);
  Fd theirs(sockets[1]);
  int pidfd = -1;
  clone_args args = {};
  args.flags = c.args[0].number | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = c.args[1].number;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup);
  }
  LeanMounts* const mounts = args.flags & CLONE_NEWNS ? context.mounts : nullptr;
  const long entered = mounts == nullptr ? 0 : mounts->enter();
  const long pid = entered < 0 ? entered : call(kSysClone3, &args, sizeof args);
  // The first process must not hold what leads to the host's mounts.
  if (mounts != nullptr && pid == 0) mounts->close();
  // Without the host's mounts around it, the launcher must not go on.
  if (mounts != nullptr && pid != 0 && mounts->leave() < 0) _exit(125);
  if (pid < 0) return pid;
  context.child = static_cast<pid_t>(pid);
  context.peer = pid == 0 ? std::move(theirs) : std::move(ours);
  return pid == 0 ? 0 : pidfd;
}

long execute(const Context& context, const Call& c, uint32_t& detail) {
  const StringArray paths(context, c.args[0]);
  const StringArray argv(context, c.args[1]);
  const StringArray envp(context, c.args[2]);
  if (!paths.ok() || !argv.ok() || !envp.ok()) return -ENOMEM;
  long failure = -ENOENT;
  for (uint32_t i = 0; i < c.args[0].number; i++) {
    const long error = call(SYS_execve, paths.get()[i], argv.get(), envp.get());
    if (failure == -ENOENT || error == -EACCES) {
      failure = error;
      detail = i;
    }
    if (error != -ENOENT && error != -ENOTDIR && error != -EACCES) break;
  }
  return failure;
}

long read_ahead(int root, const Context& context, const Arg& list, uint64_t count) {
  const StringArray paths(context, list);
  if (!paths.ok()) return -ENOMEM;
  // What is no file is not waited for.
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  constexpr uint64_t kResolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long result = -ENOENT;
  for (uint32_t i = 0; i < list.number && result < 0; i++) {
    const Fd file(static_cast<int>(open_at(root, paths.get()[i], kFlags, 0, kResolve)));
    // The kernel reads no more at once than it would ahead of a reader.
    constexpr uint64_t kAtOnce = 128 * 1024;
    result = file.get();
    for (uint64_t at = 0; at < count && result >= 0; at += kAtOnce) {
      result = call(SYS_readahead, file.get(), at, kAtOnce);
    }
  }
  return result < 0 ? result : 0;
}

long run_helper(const Context& context, const char* path, const Arg& list, uint32_t& detail) {
  const StringArray argv(context, list);
  if (!argv.ok()) return -ENOMEM;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  char* environment[] = {nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, path, nullptr, &attributes, argv.get(), environment);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return -error;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  detail = static_cast<uint32_t>(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return detail == 0 ? 0 : -EPERM;
}

}  // namespace boxctl
