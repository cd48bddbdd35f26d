#include "copytree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "../shared/fd.h"
#include "copy.h"
#include "rmtree.h"

namespace boxctl {
namespace {

// Labels and what the overlay writes for itself are not the file's own.
bool is_copied(const char* name) {
  return strncmp(name, "trusted.", 8) != 0 && strncmp(name, "security.selinux", 16) != 0 &&
         strncmp(name, "user.overlay.", 13) != 0;
}

class Listing {
 public:
  // Takes a descriptor of its own: the position in a folder belongs to the open file.
  explicit Listing(int folder)
      : fd_(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), stream_(fd_ < 0 ? nullptr : fdopendir(fd_)) {
    if (stream_ == nullptr && fd_ >= 0) close(fd_);
  }
  ~Listing() {
    if (stream_ != nullptr) closedir(stream_);
  }
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;
  bool valid() const { return stream_ != nullptr; }
  // The next name that is no dot; null at the end, with errno 0, or on failure.
  const char* next() {
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(stream_);
      if (entry == nullptr) return nullptr;
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) return entry->d_name;
    }
  }

 private:
  int fd_;
  DIR* stream_;
};

int clear(int folder) {
  for (;;) {
    Listing listing(folder);
    if (!listing.valid()) return errno;
    const char* name = listing.next();
    if (name == nullptr) return errno;
    const int error = rmtree(folder, name);
    if (error != 0) return error;
  }
}

}  // namespace

int copytree(int from, int to, uint32_t uid, uint32_t gid, uint32_t mode) {
  const Fd target(openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!target.valid()) return errno;
  // Of two containers that begin at the same time, one fills it, and the other waits for that.
  if (flock(target.get(), LOCK_EX) != 0) return errno;
  struct stat status;
  if (fstat(target.get(), &status) != 0) return errno;
  if ((status.st_mode & 07777) != 0) return 0;
  const int error = clear(target.get());
  if (error != 0) return error;
  if (from < 0) {
    // The mode last: it says that the volume is complete.
    if (fchown(target.get(), uid, gid) != 0) return errno;
    return fchmod(target.get(), mode == kAsSource ? 0755 : mode) == 0 ? 0 : errno;
  }
  const Fd source(openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source.valid()) return errno;
  char path[PATH_MAX];
  return copy_tree(source.get(), target.get(), {is_copied, false, uid, gid, mode}, path);
}

}  // namespace boxctl
