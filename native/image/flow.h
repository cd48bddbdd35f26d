// A stream on a thread of its own: a stage reads from a source, and gives what it has read to several readers, each of
// which sees all of it. So an archive is read once, while one thread decompresses it, others compute digests
// (stage_readers.h), and the process's own thread unpacks:
//
//   file ─► Stage ─┬─► Digest of the archive
//                  └─► Decoder ─► Stage ─┬─► Digest of the content
//                                        ├─► Filler (fill.h): the data of files
//                                        └─► Unpacker or Scan: the entries
//
// A stage has a ring of pieces. A piece is filled again only after all readers have let go of it, so memory is bounded,
// and the slowest reader holds up all others.
//
// No thread is ever stopped, and no stage is destroyed: the imager ends by _exit(2).
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

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
  // With one reader, numbered 0. Each must read to the end: the stage waits for a reader that stops before.
  explicit Stage(Source from) : from_(from) {}
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // The thread starts to pull at once.
  Failure start();

  // Another reader, which sees what `reader` has now, if it has asked for a piece, and all that comes after it.
  size_t add_reader(size_t reader);

  // Nothing more is read from the source. Readers get what was read before, and then the errno.
  void abandon(int error);

  // The next piece for a reader, valid until its next call; a size of 0 is the end. `data` must be what the call before
  // has given, or null at first. False with errno: the source could not be read.
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
    size_t users = 0;  // readers that have not let go of it
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

// pthread_create(3).
Failure start_thread(pthread_t& thread, void* (*run)(void*), void* argument);

}  // namespace boxctl::image
