// Writes files of a tree as a tar: what a layer needs of those below it, to be read before it (import-layers.ts).
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../shared/failure.h"
#include "../shared/list.h"

namespace boxctl::image {

class Extract {
 public:
  // No more than `bytes` of files. The tar has no end mark: it is a beginning.
  Extract(int root, int to, uint64_t bytes) : root_(root), out_(fdopen(to, "w")), left_(bytes) {}
  Extract(const Extract&) = delete;
  Extract& operator=(const Extract&) = delete;

  // The file itself, never what a link leads to; nothing where there is none. With a slash at its end the path is a
  // folder's. False: see failure().
  bool add(const char* path);

  uint64_t entries() const { return entries_; }
  const Failure& failure() const { return failure_; }

 private:
  bool fail(const char* why, int number);
  bool record(const char* key, const void* value, size_t size);
  bool number(const char* key, uint64_t value);
  bool time(const struct timespec& time);
  bool attributes(int file);
  bool block(char type, uint32_t mode, uint64_t size, dev_t device);
  bool data(int file, uint64_t size);
  bool pad(uint64_t size);
  bool put(const void* data, size_t size);

  const int root_;
  FILE* const out_;
  uint64_t left_;
  uint64_t entries_ = 0;
  List<char> records_;  // of the entry's pax header
  Failure failure_;
};

}  // namespace boxctl::image
