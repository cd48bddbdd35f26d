// Functions that are one system call.
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "raw.h"

using boxctl::libc::call;
using boxctl::libc::call_int;

namespace {

int error = 0;

}  // namespace

extern "C" {

int* __errno_location() noexcept { return &error; }

// As many arguments as any call has: the kernel looks at those that it knows.
long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long args[6];
  for (long& arg : args) arg = va_arg(list, long);
  va_end(list);
  return call(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list list;
  va_start(list, request);
  const long argument = va_arg(list, long);
  va_end(list);
  return call_int(SYS_ioctl, fd, request, argument);
}

int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  long args[4];
  for (long& arg : args) arg = va_arg(list, long);
  va_end(list);
  return call_int(SYS_prctl, option, args[0], args[1], args[2], args[3]);
}

void _exit(int status) {
  for (;;) boxctl::libc::raw(SYS_exit_group, status);
}

pid_t getpid() noexcept { return call_int(SYS_getpid); }
pid_t getppid() noexcept { return call_int(SYS_getppid); }
uid_t getuid() noexcept { return static_cast<uid_t>(call(SYS_getuid)); }
uid_t geteuid() noexcept { return static_cast<uid_t>(call(SYS_geteuid)); }
pid_t getpgrp() noexcept { return call_int(SYS_getpgid, 0); }
pid_t setsid() noexcept { return call_int(SYS_setsid); }
int setns(int fd, int type) noexcept { return call_int(SYS_setns, fd, type); }

int getrlimit(__rlimit_resource_t resource, rlimit* limit) noexcept {
  return call_int(SYS_prlimit64, 0, static_cast<int>(resource), nullptr, limit);
}
int setrlimit(__rlimit_resource_t resource, const rlimit* limit) noexcept {
  return call_int(SYS_prlimit64, 0, static_cast<int>(resource), limit, nullptr);
}

ssize_t getrandom(void* bytes, size_t size, unsigned flags) { return call(SYS_getrandom, bytes, size, flags); }

int nanosleep(const timespec* time, timespec* rest) { return call_int(SYS_nanosleep, time, rest); }
int usleep(useconds_t microseconds) {
  const timespec time = {microseconds / 1'000'000, static_cast<long>(microseconds % 1'000'000) * 1000};
  return nanosleep(&time, nullptr);
}

// The kernel changes the time that ppoll(2) is given.
int poll(pollfd* fds, nfds_t count, int milliseconds) {
  timespec time = {milliseconds / 1000, static_cast<long>(milliseconds % 1000) * 1'000'000};
  return call_int(SYS_ppoll, fds, count, milliseconds < 0 ? nullptr : &time, nullptr, 0);
}

int epoll_create1(int flags) noexcept { return call_int(SYS_epoll_create1, flags); }
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  return call_int(SYS_epoll_ctl, epoll, operation, fd, event);
}
int epoll_wait(int epoll, epoll_event* events, int most, int milliseconds) {
  return call_int(SYS_epoll_pwait, epoll, events, most, milliseconds, nullptr, 0);
}

int timerfd_create(clockid_t clock, int flags) noexcept { return call_int(SYS_timerfd_create, clock, flags); }
int timerfd_settime(int fd, int flags, const itimerspec* value, itimerspec* old) noexcept {
  return call_int(SYS_timerfd_settime, fd, flags, value, old);
}

}  // extern "C"
