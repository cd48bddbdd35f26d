#include "given.h"

#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "text.h"

namespace boxctl {
namespace {

struct Entry {
  uint32_t at;
  uint32_t size;
};

bool read_exactly(int fd, void* to, size_t size, uint64_t at) {
  return pread(fd, to, size, static_cast<off_t>(at)) == static_cast<ssize_t>(size);
}

long write_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t wrote = write(fd, data, size);
    if (wrote < 0) return -errno;
    data += wrote;
    size -= static_cast<size_t>(wrote);
  }
  return 0;
}

}  // namespace

long write_given(int given, uint64_t index, int to) {
  struct stat status;
  if (given < 0 || fstat(given, &status) != 0) return -EINVAL;
  const auto whole = static_cast<uint64_t>(status.st_size);
  uint32_t count = 0;
  Entry entry = {};
  if (!read_exactly(given, &count, sizeof count, 0) || index >= count) return -EINVAL;
  if (!read_exactly(given, &entry, sizeof entry, sizeof count + index * sizeof entry)) return -EINVAL;
  uint64_t at = entry.at;
  const uint64_t end = at + entry.size;
  if (end > whole) return -EINVAL;
  char piece[4096];
  while (at < end) {
    const size_t size = end - at < sizeof piece ? end - at : sizeof piece;
    if (!read_exactly(given, piece, size, at)) return -EINVAL;
    if (const long error = write_all(to, piece, size); error != 0) return error;
    at += size;
  }
  // The stack is the command's until it is executed.
  for (volatile char& byte : piece) byte = 0;
  return 0;
}

}  // namespace boxctl
