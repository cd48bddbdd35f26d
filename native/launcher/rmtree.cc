#include "rmtree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shared/directory.h"
#include "../shared/fd.h"
#include "../shared/syscalls.h"

namespace boxctl {
namespace {

// Each level holds one descriptor and a piece of the stack. What lies deeper is moved up first.
constexpr int kMaxOpen = 256;

long open_directory(int parent, const char* name) {
  struct open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const long fd = call(kSysOpenat2, parent, name, &how, sizeof how);
  if (fd != -EACCES) return fd;
  // The owner may have no right to read the directory, but may give it to himself. fchmodat(2) would follow a link, and
  // fchmod(2) refuses O_PATH: so chmod(2) by the descriptor's name in /proc.
  how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const Fd path(static_cast<int>(call(kSysOpenat2, parent, name, &how, sizeof how)));
  if (!path.valid()) return fd;
  struct stat status;
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", path.get());
  if (fstat(path.get(), &status) != 0 || chmod(link, (status.st_mode & 07777) | 0700) != 0) return fd;
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  return call(kSysOpenat2, parent, name, &how, sizeof how);
}

long empty(Directory& directory, int top, int depth, bool& any);

// Removes the directory `name`. When the tree is too deep to hold it open level by level, what lies below is first
// moved up beside the top.
long remove_directory(int parent, const char* name, int top, int depth) {
  const long fd = open_directory(parent, name);
  if (fd < 0) return fd;
  Directory directory{Fd(static_cast<int>(fd))};
  if (!directory.valid()) return -errno;
  // unlinkat(2) needs the right to write to the folder and to search it.
  struct stat st;
  if (fstat(directory.fd(), &st) == 0 && (st.st_mode & 0700) != 0700) fchmod(directory.fd(), st.st_mode | 0700);
  for (;;) {
    bool any = false;
    const long error = empty(directory, top < 0 ? directory.fd() : top, depth, any);
    if (error != 0) return error;
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return 0;
    // Some file systems skip entries when others vanish while they are listed: it is listed until it is empty.
    if (!any || (errno != ENOTEMPTY && errno != EEXIST)) return -errno;
    directory.rewind();
  }
}

// Moves a directory to the top level under a name that is free.
long move_up(int parent, const char* name, int top) {
  static unsigned long counter = 0;
  for (int tries = 0; tries < 1000; tries++) {
    char free_name[40];
    snprintf(free_name, sizeof free_name, ".boxctl-rm-%lu", counter++);
    if (syscall(SYS_renameat2, parent, name, top, free_name, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EEXIST) return -errno;
  }
  return -EEXIST;
}

// Removes what is listed. `any`: there was something.
long empty(Directory& directory, int top, int depth, bool& any) {
  const struct dirent* entry;
  while ((entry = directory.next()) != nullptr) {
    any = true;
    if (entry->d_type != DT_DIR) {
      if (unlinkat(directory.fd(), entry->d_name, 0) == 0 || errno == ENOENT) continue;
      if (errno != EISDIR && errno != EPERM) return -errno;
      if (errno == EPERM && entry->d_type != DT_UNKNOWN) return -errno;
    }
    const long error = depth >= kMaxOpen ? move_up(directory.fd(), entry->d_name, top)
                                         : remove_directory(directory.fd(), entry->d_name, top, depth + 1);
    if (error != 0 && error != -ENOENT) return error;
  }
  return -errno;
}

}  // namespace

long rmtree(int dirfd, const char* name) {
  if (*name == 0 || Directory::is_dots(name) || strchr(name, '/') != nullptr) return -EINVAL;
  if (unlinkat(dirfd, name, 0) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return -errno;
  return remove_directory(dirfd, name, -1, 0);
}

}  // namespace boxctl
