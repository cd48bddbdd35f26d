// Sets of signals. The header's type has room for 1024; the kernel's has 64, which is its first word.
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "raw.h"

using boxctl::libc::call_int;

namespace {

constexpr size_t kSize = 8;

unsigned long bit(int signal) { return 1UL << (signal - 1); }

}  // namespace

extern "C" {

int sigemptyset(sigset_t* set) noexcept {
  *set = {};
  return 0;
}
int sigfillset(sigset_t* set) noexcept {
  *set = {};
  set->__val[0] = ~0UL;
  return 0;
}
int sigaddset(sigset_t* set, int signal) noexcept {
  if (signal < 1 || signal > 64) return static_cast<int>(boxctl::libc::finish(-EINVAL));
  set->__val[0] |= bit(signal);
  return 0;
}
int sigdelset(sigset_t* set, int signal) noexcept {
  if (signal < 1 || signal > 64) return static_cast<int>(boxctl::libc::finish(-EINVAL));
  set->__val[0] &= ~bit(signal);
  return 0;
}

int sigprocmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  if (old != nullptr) *old = {};
  return call_int(SYS_rt_sigprocmask, how, set, old, kSize);
}
int sigwaitinfo(const sigset_t* set, siginfo_t* info) {
  return call_int(SYS_rt_sigtimedwait, set, info, nullptr, kSize);
}
int signalfd(int fd, const sigset_t* set, int flags) noexcept { return call_int(SYS_signalfd4, fd, set, kSize, flags); }
int kill(pid_t pid, int signal) noexcept { return call_int(SYS_kill, pid, signal); }
int pause() { return call_int(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0); }

}  // extern "C"
