#include "limits.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <unistd.h>

#include "../shared/fd.h"
#include "checks.h"
#include "files.h"

namespace boxctl {
namespace {

constexpr uint64_t kCgroupMagic = 0x27e0eb;
constexpr uint64_t kCgroup2Magic = 0x63677270;
constexpr size_t kMostText = 16384;

long write_line(const char* path, const char* value) {
  const uint64_t resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const Fd file(static_cast<int>(open_at(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0, resolve)));
  if (!file.valid()) return file.get();
  if (is_on(file.get(), kCgroupMagic) != 0 && is_on(file.get(), kCgroup2Magic) != 0) return -EXDEV;
  return write_file(file.get(), "", value);
}

// Ends the text at the first `mark`, and gives what follows it. Null: there is none.
char* split(char* text, char mark) {
  for (; *text != '\0'; text++) {
    if (*text != mark) continue;
    *text = '\0';
    return text + 1;
  }
  return nullptr;
}

}  // namespace

long write_limits(int dirfd, const char* name, uint32_t& detail) {
  const Fd file(static_cast<int>(open_at(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0, 0)));
  if (!file.valid()) return file.get() == -ENOENT ? 0 : file.get();
  // One limit can be in the way of another, as memory is of memory with swap. So what fails at first is tried again.
  for (const bool last : {false, true}) {
    char text[kMostText];
    const long size = negate(pread(file.get(), text, sizeof text - 1, 0));
    if (size < 0) return size;
    if (static_cast<size_t>(size) == sizeof text - 1) return -E2BIG;
    text[size] = '\0';
    detail = 0;
    for (char* line = text; line != nullptr && *line != '\0'; detail++) {
      char* const next = split(line, '\n');
      const char* const value = split(line, '\t');
      if (value == nullptr) return -EINVAL;
      if (const long error = write_line(line, value); error != 0 && last) return error;
      line = next;
    }
  }
  return 0;
}

}  // namespace boxctl
