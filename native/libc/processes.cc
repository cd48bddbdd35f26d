#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

using boxctl::libc::call_int;
using boxctl::libc::finish;
using boxctl::libc::raw;

namespace {

// What a new process is to execute. It shares the memory of this one, which waits until then.
struct Execution {
  const char* path;
  char* const* argv;
  char* const* environment;
  const sigset_t* mask;
  long error;

  static int run(void* execution) {
    auto* const self = static_cast<Execution*>(execution);
    if (self->mask != nullptr) raw(SYS_rt_sigprocmask, SIG_SETMASK, self->mask, nullptr, 8);
    self->error = raw(SYS_execve, self->path, self->argv, self->environment);
    return 127;
  }
};

}  // namespace

extern "C" {

// Gives the new process its own stack, whose last 16 bytes say what it calls. It does not return. The result is -errno.
long boxctl_clone(long flags, void* stack);

pid_t fork() noexcept { return call_int(SYS_clone, SIGCHLD, 0, nullptr, nullptr, 0); }

pid_t waitpid(pid_t pid, int* status, int options) { return call_int(SYS_wait4, pid, status, options, nullptr); }

// SIGABRT is blocked in the launcher, and would not end it.
void abort() noexcept { __builtin_trap(); }

int posix_spawnattr_init(posix_spawnattr_t* attributes) noexcept {
  *attributes = {};
  return 0;
}
int posix_spawnattr_destroy(posix_spawnattr_t*) noexcept { return 0; }
int posix_spawnattr_setflags(posix_spawnattr_t* attributes, short flags) noexcept {
  attributes->__flags = flags;
  return flags == POSIX_SPAWN_SETSIGMASK ? 0 : EINVAL;
}
int posix_spawnattr_setsigmask(posix_spawnattr_t* attributes, const sigset_t* mask) noexcept {
  attributes->__ss = *mask;
  return 0;
}

int clone(int (*function)(void*), void* stack, int flags, void* argument, ...) noexcept {
  auto* const top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(stack) & ~uintptr_t{15}) - 2;
  top[0] = reinterpret_cast<void*>(function);
  top[1] = argument;
  return static_cast<int>(finish(boxctl_clone(flags, top)));
}

// No page is copied for the new process, which has a part of this one's stack.
int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const* argv, char* const* environment) {
  if (actions != nullptr) return EINVAL;
  Execution execution = {path, argv, environment, attributes == nullptr ? nullptr : &attributes->__ss, 0};
  alignas(16) char stack[2048];
  const pid_t made = clone(Execution::run, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &execution);
  if (made < 0) return errno;
  if (execution.error == 0) {
    *pid = made;
  } else {
    waitpid(made, nullptr, 0);
  }
  return static_cast<int>(-execution.error);
}

}  // extern "C"

#if defined(__x86_64__)
__asm__(
    ".text\n.globl boxctl_clone\n.type boxctl_clone,@function\n"
    "boxctl_clone:\n"
    "  mov $56, %eax\n"  // clone(2)
    "  xor %edx, %edx\n"
    "  xor %r10d, %r10d\n"
    "  xor %r8d, %r8d\n"
    "  syscall\n"
    "  test %rax, %rax\n"
    "  jz 1f\n"
    "  ret\n"
    "1:\n"
    "  xor %ebp, %ebp\n"
    "  pop %rax\n"
    "  pop %rdi\n"
    "  call *%rax\n"
    "  mov %eax, %edi\n"
    "  mov $231, %eax\n"  // exit_group(2)
    "  syscall\n");
#else
__asm__(
    ".text\n.globl boxctl_clone\n.type boxctl_clone,%function\n"
    "boxctl_clone:\n"
    "  mov x8, #220\n"  // clone(2)
    "  mov x2, xzr\n"
    "  mov x3, xzr\n"
    "  mov x4, xzr\n"
    "  svc #0\n"
    "  cbz x0, 1f\n"
    "  ret\n"
    "1:\n"
    "  mov x29, #0\n"
    "  ldp x9, x0, [sp], #16\n"
    "  blr x9\n"
    "  mov x8, #94\n"  // exit_group(2)
    "  svc #0\n");
#endif
