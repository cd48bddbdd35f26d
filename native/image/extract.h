// Writes files of a tree as a tar: what a layer needs of those below it, to be read before it (import-layers.ts).
#pragma once

#include <stdint.h>

#include "../shared/failure.h"
#include "tar_writer.h"

namespace boxctl::image {

class Extract {
 public:
  // No more than `bytes` of files. The tar has no end mark: it is a beginning.
  Extract(int root, int to, uint64_t bytes) : root_(root), writer_(to), left_(bytes) {}
  Extract(const Extract&) = delete;
  Extract& operator=(const Extract&) = delete;

  // The file itself, never what a link leads to; nothing where there is none. With a slash at its end the path is a
  // folder's. False: see failure().
  bool add(const char* path);

  uint64_t entries() const { return entries_; }
  const Failure& failure() const { return failure_ ? failure_ : writer_.failure(); }

 private:
  bool fail(const char* why, int number);

  const int root_;
  TarWriter writer_;
  uint64_t left_;
  uint64_t entries_ = 0;
  Failure failure_;
};

}  // namespace boxctl::image
