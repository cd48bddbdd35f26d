// Readers of a stage that run on threads of their own.
#pragma once

#include "../codec/sha256.h"
#include "flow.h"

namespace boxctl::image {

// The digest of all that a stage gives out.
class Digest {
 public:
  Digest(Stage& stage, size_t reader) : stage_(stage), reader_(reader) {}
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  Failure start();
  // Waits for the end. 64 hex digits; empty when the stage failed.
  const char* wait();

 private:
  static void* run(void* self);
  Stage& stage_;
  const size_t reader_;
  pthread_t thread_ = {};
  char hex_[65] = {};
};

// Writes all that a stage gives out to a file. When that fails, it abandons the stage.
class Copy {
 public:
  // `limit`: in bytes.
  Copy(Stage& stage, size_t reader, int fd, uint64_t limit) : stage_(stage), reader_(reader), fd_(fd), limit_(limit) {}
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  Failure start();
  // Waits for the end. False: the stage failed, or see failure().
  bool wait();
  // After wait().
  uint64_t bytes() const { return bytes_; }
  // Known to every reader that has found the stage abandoned.
  const Failure& failure() const { return failure_; }

 private:
  static void* run(void* self);
  bool write();
  bool fail(const Failure& failure);
  Stage& stage_;
  const size_t reader_;
  const int fd_;
  const uint64_t limit_;
  pthread_t thread_ = {};
  uint64_t bytes_ = 0;
  bool done_ = false;
  Failure failure_;
};

Failure write_all(int fd, const void* data, size_t size);

}  // namespace boxctl::image
