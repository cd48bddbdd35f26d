// A descriptor that closes itself, and the two helpers that every system call here goes through.
#pragma once

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace boxctl {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.number_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }
  int release() { return std::exchange(number_, -1); }
  void reset(int number = -1) {
    if (number_ >= 0) close(number_);
    number_ = number;
  }

 private:
  int number_ = -1;
};

// The kernel's own convention: 0 or more is the result, less is -errno.
inline long negate(long result) { return result == -1 ? -static_cast<long>(errno) : result; }

template <typename... Args>
long call(long number, Args... args) {
  return negate(syscall(number, args...));
}

}  // namespace boxctl
