#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "raw.h"

// The kernel's linux_dirent64 is the header's dirent, but for the length of the name.
struct __dirstream {
  int fd;
  size_t at;
  size_t end;
  alignas(dirent) char entries[8192];
};

extern "C" {

DIR* fdopendir(int fd) {
  auto* const stream = static_cast<DIR*>(malloc(sizeof(DIR)));
  if (stream == nullptr) return nullptr;
  stream->fd = fd;
  stream->at = stream->end = 0;
  return stream;
}

dirent* readdir(DIR* stream) {
  if (stream->at == stream->end) {
    const long size = boxctl::libc::call(SYS_getdents64, stream->fd, stream->entries, sizeof stream->entries);
    if (size <= 0) return nullptr;
    stream->at = 0;
    stream->end = static_cast<size_t>(size);
  }
  auto* const entry = reinterpret_cast<dirent*>(stream->entries + stream->at);
  stream->at += entry->d_reclen;
  return entry;
}

void rewinddir(DIR* stream) noexcept {
  lseek(stream->fd, 0, SEEK_SET);
  stream->at = stream->end = 0;
}

int dirfd(DIR* stream) noexcept { return stream->fd; }

int closedir(DIR* stream) {
  const int result = close(stream->fd);
  free(stream);
  return result;
}

}  // extern "C"
