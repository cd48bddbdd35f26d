// System calls as instructions, and the convention of the C library for their results.
#pragma once

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>

#include <type_traits>

namespace boxctl::libc {

inline long make_call(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
  return x0;
#else
#error "the launcher's C library knows x86-64 and arm64"
#endif
}

template <typename T>
long as_argument(T value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<long>(value);
  } else {
    return reinterpret_cast<long>(value);
  }
}

// The kernel's own result: less than 0 is -errno.
template <typename... Args>
long raw(long number, Args... args) {
  static_assert(sizeof...(Args) <= 6);
  const long all[6] = {as_argument(args)...};
  return make_call(number, all[0], all[1], all[2], all[3], all[4], all[5]);
}

// -1 and errno where the kernel says -errno.
inline long finish(long result) {
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}

template <typename... Args>
long call(long number, Args... args) {
  return finish(raw(number, args...));
}
template <typename... Args>
int call_int(long number, Args... args) {
  return static_cast<int>(call(number, args...));
}

}  // namespace boxctl::libc
