#include "extract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "beneath.h"
#include "tar.h"

namespace boxctl::image {

bool Extract::fail(const char* why, int number) {
  failure_ = {why, number};
  return false;
}

bool Extract::add(const char* path) {
  const Fd file(static_cast<int>(open_beneath(root_, path, O_PATH | O_NOFOLLOW)));
  if (!file.valid()) {
    const bool missing = file.get() == -ENOENT || file.get() == -ENOTDIR || file.get() == -ELOOP;
    return missing || fail("a file of a layer below cannot be opened", -file.get());
  }
  struct stat status;
  if (fstat(file.get(), &status) != 0) return fail("a file of a layer below cannot be read", errno);
  const uint64_t size = S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
  if (size > left_) return fail("the layer's hard links mean more data than an image may have", 0);
  left_ -= size;
  entries_++;
  // The way has no links now: what is opened is what was looked at. The writer puts the slash of a folder there itself.
  char name[tar::kMaxPath];
  size_t length = strlen(path);
  while (length > 0 && path[length - 1] == '/') length--;
  snprintf(name, sizeof name, "%.*s", static_cast<int>(length), path);
  return writer_.add(root_, name, status) && writer_.flush();
}

}  // namespace boxctl::image
