#include "rmtree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shared/fd.h"

namespace boxctl {
namespace {

constexpr long kSysOpenat2 = 437;

// Each level holds one descriptor and a piece of the stack. What lies deeper is moved up first.
constexpr int kMaxOpen = 256;

long open_directory(int parent, const char* name) {
  struct open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const long fd = call(kSysOpenat2, parent, name, &how, sizeof how);
  if (fd != -EACCES) return fd;
  // A directory of one's own without the right to read it. fchmodat() would follow a link, so it goes by a descriptor
  // (and through /proc where fchmod() refuses O_PATH).
  how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const Fd path(static_cast<int>(call(kSysOpenat2, parent, name, &how, sizeof how)));
  if (!path.valid()) return fd;
  struct stat st;
  char link[32] = "/proc/self/fd/";
  size_t at = strlen(link);
  char digits[12];
  size_t count = 0;
  for (int n = path.get(); n > 0 || count == 0; n /= 10) digits[count++] = static_cast<char>('0' + n % 10);
  while (count > 0) link[at++] = digits[--count];
  if (fstat(path.get(), &st) != 0 || chmod(link, (st.st_mode & 07777) | 0700) != 0) return fd;
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  return call(kSysOpenat2, parent, name, &how, sizeof how);
}

bool dots(const char* name) { return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)); }

class Directory {
 public:
  explicit Directory(long fd) : stream_(fdopendir(static_cast<int>(fd))) {
    if (stream_ == nullptr) close(static_cast<int>(fd));
  }
  ~Directory() {
    if (stream_ != nullptr) closedir(stream_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  bool valid() const { return stream_ != nullptr; }
  int fd() const { return dirfd(stream_); }
  // Null at the end, with errno 0, or on failure.
  const struct dirent* next() {
    errno = 0;
    return readdir(stream_);
  }
  void rewind() { rewinddir(stream_); }

 private:
  DIR* stream_;
};

int empty(Directory& directory, int top, int depth);

// Removes the directory `name`. When the tree is too deep to hold it open level by level, what lies below is first
// moved up beside the top.
int remove_directory(int parent, const char* name, int top, int depth) {
  const long fd = open_directory(parent, name);
  if (fd < 0) return static_cast<int>(-fd);
  Directory directory(fd);
  if (!directory.valid()) return ENOMEM;
  // What lies in a folder can only be removed by who may write to it and pass through it.
  struct stat st;
  if (fstat(directory.fd(), &st) == 0 && (st.st_mode & 0700) != 0700) fchmod(directory.fd(), st.st_mode | 0700);
  const int error = empty(directory, top < 0 ? directory.fd() : top, depth);
  if (error != 0) return error;
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

// Moves a directory to the top level under a name that is free.
int move_up(int parent, const char* name, int top) {
  static unsigned long counter = 0;
  for (int tries = 0; tries < 1000; tries++) {
    char free_name[32] = ".boxctl-rm-";
    size_t at = strlen(free_name);
    for (unsigned long n = counter++; n > 0; n /= 10) free_name[at++] = static_cast<char>('0' + n % 10);
    // RENAME_NOREPLACE
    if (syscall(SYS_renameat2, parent, name, top, free_name, 1u) == 0) return 0;
    if (errno != EEXIST) return errno;
  }
  return EEXIST;
}

int empty(Directory& directory, int top, int depth) {
  // Some file systems lose their place when entries vanish while they are listed: until nothing more is found.
  for (;;) {
    bool any = false;
    const struct dirent* entry;
    while ((entry = directory.next()) != nullptr) {
      if (dots(entry->d_name)) continue;
      any = true;
      if (entry->d_type != DT_DIR) {
        if (unlinkat(directory.fd(), entry->d_name, 0) == 0 || errno == ENOENT) continue;
        if (errno != EISDIR && errno != EPERM) return errno;
        if (errno == EPERM && entry->d_type != DT_UNKNOWN) return errno;
      }
      const int error = depth >= kMaxOpen ? move_up(directory.fd(), entry->d_name, top)
                                          : remove_directory(directory.fd(), entry->d_name, top, depth + 1);
      if (error != 0 && error != ENOENT) return error;
    }
    if (errno != 0) return errno;
    if (!any) return 0;
    directory.rewind();
  }
}

}  // namespace

int rmtree(int dirfd, const char* name) {
  if (*name == 0 || dots(name) || strchr(name, '/') != nullptr) return EINVAL;
  if (unlinkat(dirfd, name, 0) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  return remove_directory(dirfd, name, -1, 0);
}

}  // namespace boxctl
