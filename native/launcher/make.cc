#include "make.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../shared/fd.h"
#include "files.h"

namespace boxctl {
namespace {

// As many as the kernel follows on the way to one file (path_resolution(7)).
constexpr int kMaxLinks = 40;
// Each level is a descriptor that stays open until the walk ends.
constexpr size_t kMaxDepth = 128;
// How often one name is looked at again after it was made or replaced. More than once is needed only when another
// container that shares the folder changes it at the same time.
constexpr int kMaxTries = 16;

bool is_kernels(const char* name) {
  return strcmp(name, "proc") == 0 || strcmp(name, "sys") == 0 || strcmp(name, "dev") == 0;
}

// Walks a path name by name. The kernel resolves one name at a time, and never follows a link. If another process puts
// a link in a folder's place, the walk finds a link, reads it, and goes where it leads inside the root.
class Walk {
 public:
  Walk(uint64_t mode, uint64_t flags, uint64_t resolve)
      : mode_(mode), replace_(flags & AT_SYMLINK_NOFOLLOW), refuse_links_(resolve & RESOLVE_NO_SYMLINKS) {}

  long go(int root, const char* path) {
    folders_[0] = Fd(openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folders_[0].valid()) return -errno;
    if (snprintf(rest_, sizeof rest_, "%s", path) >= static_cast<int>(sizeof rest_)) return -ENAMETOOLONG;
    for (int tries = 0;;) {
      char name[NAME_MAX + 1];
      const long taken = take(name);
      if (taken < 0) return taken;
      if (taken == 0) return S_ISDIR(mode_) ? folders_[depth_].release() : -EISDIR;
      const bool last = rest_[strspn(rest_, "/")] == '\0';
      const long result = step(name, last);
      if (result != 0 && result != -EAGAIN) return result;
      if (result == 0) {
        tries = 0;
      } else if (++tries > kMaxTries || !put_back(name)) {
        return -EAGAIN;
      }
    }
  }

 private:
  int here() const { return folders_[depth_].get(); }

  // Moves the next name from the path to `name`; 0 at the end.
  long take(char* name) {
    const size_t start = strspn(rest_, "/");
    const size_t size = strcspn(rest_ + start, "/");
    if (size > NAME_MAX) return -ENAMETOOLONG;
    memcpy(name, rest_ + start, size);
    name[size] = '\0';
    memmove(rest_, rest_ + start + size, strlen(rest_ + start + size) + 1);
    return size > 0;
  }

  // Puts a name, or the target of a link, before the rest of the path.
  bool put_back(const char* text) {
    const size_t size = strlen(text), left = strlen(rest_);
    if (size + 1 + left + 1 > sizeof rest_) return false;
    memmove(rest_ + size + 1, rest_, left + 1);
    memcpy(rest_, text, size);
    rest_[size] = '/';
    return true;
  }

  // 0: the walk goes on; more: the end, opened; -EAGAIN: the name is to be looked at again.
  long step(const char* name, bool last) {
    if (strcmp(name, ".") == 0) return 0;
    if (strcmp(name, "..") == 0) {
      // The root is its own parent, as from inside.
      if (depth_ > 0) folders_[depth_--].reset();
      return 0;
    }
    Fd found(openat(here(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!found.valid()) return errno == ENOENT ? make(name, last) : -errno;
    struct stat status;
    if (fstat(found.get(), &status) != 0) return -errno;
    if (S_ISLNK(status.st_mode)) return follow(name, found, last);
    if (!S_ISDIR(status.st_mode)) return last && !S_ISDIR(mode_) ? found.release() : -ENOTDIR;
    if (last) return found.release();
    return enter(name, std::move(found));
  }

  long follow(const char* name, const Fd& link, bool last) {
    if (refuse_links_) return -ELOOP;
    if (last && replace_) return unlinkat(here(), name, 0) == 0 || errno == ENOENT ? -EAGAIN : -errno;
    if (++links_ > kMaxLinks) return -ELOOP;
    char target[PATH_MAX];
    const ssize_t size = readlinkat(link.get(), "", target, sizeof target - 1);
    if (size <= 0) return size < 0 ? -errno : -ENOENT;
    target[size] = '\0';
    if (target[0] == '/') {
      while (depth_ > 0) folders_[depth_--].reset();
    }
    return put_back(target) ? 0 : -ENAMETOOLONG;
  }

  long make(const char* name, bool last) {
    if (links_ > 0 && depth_ > 0 && in_kernels_) return -EXDEV;
    const bool file = last && !S_ISDIR(mode_);
    const long made = file ? call(SYS_mknodat, here(), name, mode_, 0)
                           : call(SYS_mkdirat, here(), name, last ? mode_ & 07777 : 0755U);
    // EEXIST: another process has made it. The next step opens what is there.
    return made == 0 || made == -EEXIST ? -EAGAIN : made;
  }

  long enter(const char* name, Fd folder) {
    if (depth_ + 1 == kMaxDepth) return -ENAMETOOLONG;
    if (depth_ == 0) in_kernels_ = is_kernels(name);
    folders_[++depth_] = std::move(folder);
    return 0;
  }

  const uint64_t mode_;
  const bool replace_;
  const bool refuse_links_;
  Fd folders_[kMaxDepth];  // from the root to where the walk is
  size_t depth_ = 0;
  bool in_kernels_ = false;  // beneath /proc, /sys or /dev
  char rest_[PATH_MAX] = "";
  int links_ = 0;
};

}  // namespace

long make_in_root(int root, const char* path, uint64_t mode, uint64_t flags, uint64_t resolve) {
  const bool replace = flags & AT_SYMLINK_NOFOLLOW;
  // Usually the whole path exists.
  const uint64_t how = O_PATH | O_CLOEXEC | (S_ISDIR(mode) ? O_DIRECTORY : 0) | (replace ? O_NOFOLLOW : 0);
  const long result = open_at(root, path, how, 0, resolve);
  if (result < 0) return result == -ENOENT ? Walk(mode, flags, resolve).go(root, path) : result;
  if (!replace) return result;
  Fd found(static_cast<int>(result));
  struct stat status;
  if (fstat(found.get(), &status) != 0) return -errno;
  return S_ISLNK(status.st_mode) ? Walk(mode, flags, resolve).go(root, path) : found.release();
}

}  // namespace boxctl
