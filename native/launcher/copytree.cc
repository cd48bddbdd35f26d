#include "copytree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "../shared/directory.h"
#include "../shared/fd.h"
#include "copy.h"
#include "rmtree.h"

namespace boxctl {
namespace {

// Labels of security modules and overlay's own attributes do not belong to the file.
bool is_copied(const char* name) {
  return strncmp(name, "trusted.", 8) != 0 && strncmp(name, "security.selinux", 16) != 0 &&
         strncmp(name, "user.overlay.", 13) != 0;
}

// Removes all that is in the folder. Some file systems skip entries when others vanish while they are listed: it is
// listed anew after each.
long clear(int folder) {
  for (;;) {
    Directory listing(folder);
    if (!listing.valid()) return -errno;
    const dirent* const entry = listing.next();
    if (entry == nullptr) return -errno;
    if (const long error = rmtree(folder, entry->d_name); error != 0) return error;
  }
}

}  // namespace

long copytree(int from, int to, uint32_t uid, uint32_t gid, uint32_t mode) {
  const Fd target(openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!target.valid()) return -errno;
  // Of two containers that start at the same time, one fills the volume while the other waits here.
  if (flock(target.get(), LOCK_EX) != 0) return -errno;
  struct stat status;
  if (fstat(target.get(), &status) != 0) return -errno;
  if ((status.st_mode & 07777) != 0) return 0;
  if (const long error = clear(target.get()); error != 0) return error;
  if (from < 0) {
    // The mode last: it says that the volume is complete.
    if (fchown(target.get(), uid, gid) != 0) return -errno;
    return fchmod(target.get(), mode == kAsSource ? 0755 : mode) == 0 ? 0 : -errno;
  }
  const Fd source(openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source.valid()) return -errno;
  char path[PATH_MAX];
  return copy_tree(source.get(), target.get(), {is_copied, false, uid, gid, mode}, path);
}

}  // namespace boxctl
