// Streams that run on threads of their own: a stage pulls from a source and hands what it got to several readers, each
// of which sees all of it. So an archive is read once while one thread decompresses it, others compute digests, and the
// process's own thread unpacks. Memory is bounded by the pieces of each stage; the slowest reader sets the pace.
//
// Nothing here is ever taken down: a worker of images ends by _exit(2), threads and all.
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "../codec/sha256.h"
#include "../shared/failure.h"
#include "../shared/list.h"
#include "source.h"

namespace boxctl::image {

inline constexpr size_t kPiece = size_t{1} << 20;
inline constexpr size_t kPieces = 6;
inline constexpr size_t kMaxReaders = 3;

class Lock {
 public:
  explicit Lock(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Lock() { pthread_mutex_unlock(&mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

class Stage {
 public:
  // With one reader, numbered 0. Each must read to the end, or nobody gets on.
  explicit Stage(Source from) : from_(from) {}
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // The thread starts to pull at once.
  Failure start();

  // Another reader, which sees what `reader` has now, if it has asked for a piece, and all that comes after it.
  size_t add_reader(size_t reader);

  // Nothing more is pulled, and who asks for more gets the errno.
  void abandon(int error);

  // The next piece for a reader, valid until its next call; a size of 0 is the end. False: pulling failed, with
  // errno().
  bool next(size_t reader, const uint8_t*& data, size_t& size);

  // A reader as a source; `context` is a Tap that must live as long.
  struct Tap {
    Stage* stage;
    size_t reader;
    const uint8_t* data = nullptr;
    size_t left = 0;
  };
  static Source source(Tap& tap) { return {read_tap, &tap, nullptr, lend_tap}; }

 private:
  struct Piece {
    List<uint8_t> bytes;
    size_t size = 0;
    size_t users = 0;
  };
  static void* run(void* self);
  static ssize_t read_tap(void* context, void* buffer, size_t size);
  static ssize_t lend_tap(void* context, const void** bytes);
  void pull();

  const Source from_;
  size_t readers_ = 1;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed_ = PTHREAD_COND_INITIALIZER;
  Piece pieces_[kPieces];
  uint64_t made_ = 0;                 // pieces that were filled; the next goes into place made_ % kPieces
  uint64_t taken_[kMaxReaders] = {};  // pieces that each reader has asked for, the present one included
  bool ended_ = false;
  int error_ = 0;
};

// The digest of all that a stage hands out, on a thread of its own.
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

// Writes all that a stage hands out to a file, on a thread of its own. When that fails, nobody gets on.
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
  // Known to everyone who has found the stage abandoned.
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
// pthread_create(3).
Failure start_thread(pthread_t& thread, void* (*run)(void*), void* argument);

}  // namespace boxctl::image
