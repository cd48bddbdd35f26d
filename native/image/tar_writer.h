// Writes a tar that depends on nothing but the files: ustar, with a pax header for what a field cannot hold
// (POSIX.1-2001, "pax Interchange Format"). Entries have no names of owners, and no times but that of modification.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../shared/failure.h"
#include "../shared/fd.h"
#include "../shared/list.h"
#include "tar.h"

namespace boxctl::image {

class TarWriter {
 public:
  // `to` is the writer's from now on. `prefix` comes before each path. `live`: others change the files meanwhile, so
  // that a file may be shorter or another one than it was; and holes stay holes (GNU's sparse format 1.0).
  explicit TarWriter(int to, const char* prefix = "", bool live = false)
      : out_(fdopen(to, "w")), prefix_(prefix), live_(live) {}
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // What lies at `path` in the folder `root`, which `status` is of; never what a link leads to. `link` is the path of
  // another entry that is the same file; null for none. False: see failure().
  bool add(int root, const char* path, const struct stat& status, const char* link = nullptr);
  // An empty file of root's that nobody may read, of the time 0: a mark.
  bool add_mark(const char* path);
  // The blocks that end a tar.
  bool end();
  // From now on the prefix alone is the path of what is added.
  void name_alone() { alone_ = true; }
  // All of it is in the descriptor.
  bool flush();

  const Failure& failure() const { return failure_; }
  // Files that were cut short, or replaced, while they were read.
  uint64_t changed() const { return changed_; }

 private:
  struct Header;
  bool fail(const char* why, int number);
  bool record(const char* key, const void* value, size_t size);
  bool record(const char* key, const char* text);
  bool number(const char* key, uint64_t value, uint64_t most);
  bool time(const struct timespec& time);
  bool attributes(int file);
  bool name(const char* path, bool folder, char* field, char* prefix);
  bool entry(const Header& header);
  bool block(const Header& header, const char* name, const char* prefix);
  bool full_path(const char* path, char* whole);
  bool data(int file, uint64_t size);
  bool unpadded(int file, uint64_t size);
  bool cut_short(uint64_t left);
  bool gone();
  bool sparse(Header& header, int file);
  bool map_parts(int file, uint64_t size);
  bool open_file(int root, const char* path, const struct stat& status, Fd& file, bool& gone);
  bool pad(uint64_t size);
  bool put(const void* data, size_t size);

  FILE* const out_;
  const char* const prefix_;
  const bool live_;
  bool alone_ = false;
  uint64_t changed_ = 0;
  List<char> records_;      // of the entry's pax header
  List<tar::Chunk> parts_;  // of a file with holes; none for any other
  List<char> map_;          // the same as the tar has it
  Failure failure_;
};

}  // namespace boxctl::image
