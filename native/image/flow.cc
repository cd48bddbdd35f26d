#include "flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

namespace boxctl::image {

int Stage::start() {
  for (Piece& piece : pieces_) {
    piece.data = static_cast<uint8_t*>(malloc(kPiece));
    if (piece.data == nullptr) return ENOMEM;
  }
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, run, this);
  if (error == 0) pthread_detach(thread);
  return error;
}

void* Stage::run(void* self) {
  static_cast<Stage*>(self)->pull();
  return nullptr;
}

void Stage::pull() {
  for (bool end = false; !end;) {
    Piece& piece = pieces_[made_ % kPieces];
    {
      const Lock lock(mutex_);
      while (piece.users > 0) pthread_cond_wait(&changed_, &mutex_);
    }
    size_t size = 0;
    int error = 0;
    while (size < kPiece && !end) {
      const ssize_t got = from_.read(from_.context, piece.data + size, kPiece - size);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error = errno == 0 ? EIO : errno;
      end = got <= 0;
      if (got > 0) size += static_cast<size_t>(got);
    }
    __atomic_fetch_add(&pulled_, size, __ATOMIC_RELAXED);
    const Lock lock(mutex_);
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
  const Piece& piece = pieces_[taken++ % kPieces];
  data = piece.data;
  size = piece.size;
  return true;
}

ssize_t Stage::read_tap(void* context, void* buffer, size_t size) {
  auto& tap = *static_cast<Tap*>(context);
  if (tap.left == 0) {
    // `data` has moved on within its piece; that there is one is all that matters.
    if (!tap.stage->next(tap.reader, tap.data, tap.left)) return -1;
    if (tap.left == 0) return 0;
  }
  const size_t part = size < tap.left ? size : tap.left;
  memcpy(buffer, tap.data, part);
  tap.data += part;
  tap.left -= part;
  return static_cast<ssize_t>(part);
}

int Digest::start() { return pthread_create(&thread_, nullptr, run, this); }

void* Digest::run(void* self) {
  auto& digest = *static_cast<Digest*>(self);
  codec::Sha256 hash;
  const uint8_t* data = nullptr;
  size_t size = 0;
  do {
    if (!digest.stage_.next(digest.reader_, data, size)) return nullptr;
    hash.update(data, size);
  } while (size > 0);
  hash.finish(digest.hex_);
  return nullptr;
}

const char* Digest::wait() {
  pthread_join(thread_, nullptr);
  return hex_;
}

}  // namespace boxctl::image
