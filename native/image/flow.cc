#include "flow.h"

#include <errno.h>
#include <string.h>

namespace boxctl::image {

Failure start_thread(pthread_t& thread, void* (*run)(void*), void* argument) {
  const int error = pthread_create(&thread, nullptr, run, argument);
  return error == 0 ? Failure{} : Failure{"a thread cannot be started", error};
}

Failure Stage::start() {
  for (Piece& piece : pieces_) {
    if (!piece.bytes.resize(kPiece)) return {kNoMemory, ENOMEM};
  }
  pthread_t thread;
  const Failure failure = start_thread(thread, run, this);
  if (!failure) pthread_detach(thread);
  return failure;
}

void* Stage::run(void* self) {
  static_cast<Stage*>(self)->pull();
  return nullptr;
}

// Fills one piece after the other until the source ends or fails, or the stage is abandoned.
void Stage::pull() {
  for (bool end = false; !end;) {
    Piece& piece = pieces_[made_ % kPieces];
    {
      const Lock lock(mutex_);
      while (piece.users > 0 && !ended_) pthread_cond_wait(&changed_, &mutex_);
      if (ended_) return;
    }
    size_t size = 0;
    int error = 0;
    while (size < kPiece && !end) {
      const ssize_t got = from_.read(from_.context, piece.bytes.begin() + size, kPiece - size);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error = errno == 0 ? EIO : errno;
      end = got <= 0;
      if (got > 0) size += static_cast<size_t>(got);
    }
    const Lock lock(mutex_);
    if (ended_) return;
    piece.size = size;
    if (size > 0) {
      piece.users = readers_;
      made_++;
    }
    ended_ = end;
    error_ = error;
    pthread_cond_broadcast(&changed_);
  }
}

bool Stage::next(size_t reader, const uint8_t*& data, size_t& size) {
  const Lock lock(mutex_);
  uint64_t& taken = taken_[reader];
  if (taken > 0 && data != nullptr) {
    // The reader lets go of the piece that it had.
    pieces_[(taken - 1) % kPieces].users--;
    pthread_cond_broadcast(&changed_);
  }
  while (taken == made_ && !ended_) pthread_cond_wait(&changed_, &mutex_);
  data = nullptr;
  size = 0;
  if (taken == made_) {
    errno = error_;
    return error_ == 0;
  }
  Piece& piece = pieces_[taken++ % kPieces];
  data = piece.bytes.begin();
  size = piece.size;
  return true;
}

// It begins with the piece that `reader` has now.
size_t Stage::add_reader(size_t reader) {
  const Lock lock(mutex_);
  const uint64_t taken = taken_[reader];
  const uint64_t from = taken == 0 ? 0 : taken - 1;
  for (uint64_t i = from; i < made_; i++) pieces_[i % kPieces].users++;
  taken_[readers_] = from;
  return readers_++;
}

void Stage::abandon(int error) {
  const Lock lock(mutex_);
  ended_ = true;
  error_ = error;
  pthread_cond_broadcast(&changed_);
}

ssize_t Stage::read_tap(void* context, void* buffer, size_t size) {
  auto& tap = *static_cast<Tap*>(context);
  if (tap.left == 0) {
    // next() only asks whether there was a piece, so that `data` may have moved on within it.
    if (!tap.stage->next(tap.reader, tap.data, tap.left)) return -1;
    if (tap.left == 0) return 0;
  }
  const size_t part = size < tap.left ? size : tap.left;
  memcpy(buffer, tap.data, part);
  tap.data += part;
  tap.left -= part;
  return static_cast<ssize_t>(part);
}

ssize_t Stage::lend_tap(void* context, const void** bytes) {
  auto& tap = *static_cast<Tap*>(context);
  if (tap.left == 0 && !tap.stage->next(tap.reader, tap.data, tap.left)) return -1;
  *bytes = tap.data;
  const auto size = static_cast<ssize_t>(tap.left);
  tap.left = 0;
  return size;
}

}  // namespace boxctl::image
