// A directory that is listed, and closes itself.
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fd.h"

namespace boxctl {

class Directory {
 public:
  // Takes over the descriptor, which must be open for reading.
  explicit Directory(Fd fd) : stream_(fd.valid() ? fdopendir(fd.get()) : nullptr) {
    // fdopendir has taken it, where it worked.
    if (stream_ != nullptr) static_cast<void>(fd.release());
  }
  // Opens the folder `path` of `parent`: "." lists the descriptor's own from its beginning, whatever else reads it.
  explicit Directory(int parent, const char* path = ".")
      : Directory(Fd(openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))) {}
  ~Directory() {
    if (stream_ != nullptr) closedir(stream_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  // False with errno: it could not be opened.
  bool valid() const { return stream_ != nullptr; }
  int fd() const { return dirfd(stream_); }
  // The next entry but "." and "..". Null at the end, with errno 0, or on failure, with another.
  const dirent* next() {
    for (;;) {
      errno = 0;
      const dirent* const entry = readdir(stream_);
      if (entry == nullptr || !is_dots(entry->d_name)) return entry;
    }
  }
  void rewind() { rewinddir(stream_); }

  static bool is_dots(const char* name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

 private:
  DIR* stream_;
};

}  // namespace boxctl
