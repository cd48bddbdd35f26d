// What the kernel's files of processes say (proc(5)).
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>

#include "../shared/fd.h"

namespace boxctl {

// Reads the beginning of a small text file, with a NUL after it. The number of bytes, or -errno and an empty text.
inline long read_text_file(int dirfd, const char* path, char* text, size_t size) {
  text[0] = '\0';
  const Fd file(openat(dirfd, path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return -errno;
  const long got = negate(read(file.get(), text, size - 1));
  text[got > 0 ? got : 0] = '\0';
  return got;
}

// Gives each number of a text file that has nothing else to `use`. However many there are, the memory is the same.
template <typename Use>
void for_numbers(int dirfd, const char* path, Use use) {
  const Fd file(openat(dirfd, path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return;
  char bytes[4096];
  int number = 0;
  bool any = false;
  for (;;) {
    const ssize_t size = read(file.get(), bytes, sizeof bytes);
    if (size < 0 && errno == EINTR) continue;
    for (ssize_t i = 0; i < size; i++) {
      if (bytes[i] >= '0' && bytes[i] <= '9') {
        number = 10 * number + (bytes[i] - '0');
        any = true;
      } else if (any) {
        use(number);
        number = 0;
        any = false;
      }
    }
    if (size > 0) continue;
    if (any) use(number);
    return;
  }
}

}  // namespace boxctl
