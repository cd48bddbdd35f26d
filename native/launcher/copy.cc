#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../shared/directory.h"
#include "../shared/fd.h"
#include "../shared/list.h"

namespace boxctl {
namespace {

// Each level holds a few descriptors and a piece of the stack.
constexpr int kMaxDepth = 200;

// A file with several names, and where its first copy is.
struct Known {
  dev_t device;
  ino_t inode;
  size_t path;  // in Copier::paths_
};

class Copier {
 public:
  Copier(int to, const CopyOptions& options, char* path, CopyLosses& losses)
      : to_(to), options_(options), path_(path), losses_(losses) {}
  Copier(const Copier&) = delete;
  Copier& operator=(const Copier&) = delete;

  long folder(int from, int to, size_t length);

 private:
  long entry(int from, int to, const char* name);
  long file(int from, int to, const char* name, const struct stat& status);
  long describe(int from, int to, const struct stat& status, mode_t mode);
  long data(int from, int to, off_t size);
  long attributes(int from, int to);
  const char* first_name(const struct stat& status);
  bool remember(const struct stat& status);

  const int to_;
  const CopyOptions& options_;
  char* const path_;
  CopyLosses& losses_;
  int depth_ = 0;
  List<Known> known_;
  List<char> paths_;  // each with a NUL
};

long Copier::attributes(int from, int to) {
  static char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
  const ssize_t size = flistxattr(from, names, sizeof names);
  if (size < 0) return errno == EOPNOTSUPP ? 0 : -errno;
  for (const char* name = names; name < names + size; name += strlen(name) + 1) {
    if (!options_.keeps(name)) continue;
    const ssize_t length = fgetxattr(from, name, value, sizeof value);
    if (length < 0) return -errno;
    if (fsetxattr(to, name, value, static_cast<size_t>(length), 0) != 0) return -errno;
  }
  return 0;
}

// The owner first: chown(2) takes the set-id bits and the capabilities away. The time last.
long Copier::describe(int from, int to, const struct stat& status, mode_t mode) {
  if (fchown(to, status.st_uid, status.st_gid) != 0) return -errno;
  const long error = attributes(from, to);
  if (error != 0) return error;
  if (fchmod(to, mode) != 0) return -errno;
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  return futimens(to, times) == 0 ? 0 : -errno;
}

long Copier::data(int from, int to, off_t size) {
  if (ioctl(to, FICLONE, from) == 0) return 0;
  for (off_t at = 0; at < size;) {
    const off_t start = lseek(from, at, SEEK_DATA);
    if (start < 0) break;
    const off_t end = lseek(from, start, SEEK_HOLE);
    if (lseek(to, start, SEEK_SET) < 0) return -errno;
    for (off_t offset = start; offset < end;) {
      const ssize_t sent = sendfile(to, from, &offset, static_cast<size_t>(end - offset));
      if (sent < 0) return -errno;
      if (sent == 0) return -EIO;
    }
    at = end;
  }
  return ftruncate(to, size) == 0 ? 0 : -errno;
}

const char* Copier::first_name(const struct stat& status) {
  for (const Known& known : known_) {
    if (known.inode == status.st_ino && known.device == status.st_dev) return paths_.begin() + known.path;
  }
  return nullptr;
}

bool Copier::remember(const struct stat& status) {
  const Known known = {status.st_dev, status.st_ino, paths_.size()};
  return paths_.add(path_, strlen(path_) + 1) && known_.add(known);
}

long Copier::file(int from, int to, const char* name, const struct stat& status) {
  const bool device = S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode);
  if (S_ISSOCK(status.st_mode) || (device && !options_.devices)) return 0;
  if (status.st_nlink > 1) {
    const char* const first = first_name(status);
    // By path, which is safe: nobody else can change the copy, and none of its folders is a link.
    if (first != nullptr) return linkat(to_, first, to, name, 0) == 0 ? 0 : -errno;
  }
  if (device && mknodat(to, name, (status.st_mode & S_IFMT) | 0600, status.st_rdev) != 0) {
    // In a user namespace mknod(2) makes no devices. A container gets its /dev elsewhere.
    if (errno != EPERM) return -errno;
    losses_.devices++;
    return 0;
  }
  if (status.st_nlink > 1 && !remember(status)) return -ENOMEM;
  if (!S_ISREG(status.st_mode)) {
    if (S_ISLNK(status.st_mode)) {
      char target[PATH_MAX];
      const ssize_t length = readlinkat(from, name, target, sizeof target - 1);
      if (length < 0) return -errno;
      target[length] = 0;
      if (symlinkat(target, to, name) != 0) return -errno;
    } else if (!device && mknodat(to, name, (status.st_mode & S_IFMT) | 0600, status.st_rdev) != 0) {
      return -errno;
    }
    if (fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
    if (!S_ISLNK(status.st_mode) && fchmodat(to, name, status.st_mode & 07777, 0) != 0) return -errno;
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
  }
  const Fd source(openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!source.valid()) return -errno;
  const Fd copy(openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!copy.valid()) return -errno;
  const long error = data(source.get(), copy.get(), status.st_size);
  return error != 0 ? error : describe(source.get(), copy.get(), status, status.st_mode & 07777);
}

long Copier::entry(int from, int to, const char* name) {
  const size_t length = strlen(path_);
  if (length + strlen(name) + 2 > PATH_MAX) return -ENAMETOOLONG;
  snprintf(path_ + length, PATH_MAX - length, "%s%s", length == 0 ? "" : "/", name);
  struct stat status;
  if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
  long error = 0;
  if (S_ISDIR(status.st_mode)) {
    const Fd source(openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!source.valid() || mkdirat(to, name, 0700) != 0) return -errno;
    const Fd copy(openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!copy.valid()) return -errno;
    if (++depth_ > kMaxDepth) return -ELOOP;
    error = folder(source.get(), copy.get(), strlen(path_));
    depth_--;
  } else {
    error = file(from, to, name, status);
  }
  // After a failure the path stays, for the message.
  if (error == 0) path_[length] = 0;
  return error;
}

long Copier::folder(int from, int to, size_t length) {
  {
    Directory listing{Fd(fcntl(from, F_DUPFD_CLOEXEC, 0))};
    if (!listing.valid()) return -errno;
    while (const dirent* const item = listing.next()) {
      if (const long error = entry(from, to, item->d_name); error != 0) return error;
    }
    if (errno != 0) return -errno;
  }
  path_[length] = 0;
  struct stat status;
  if (fstat(from, &status) != 0) return -errno;
  if (depth_ == 0) {
    if (options_.uid != kAsSource) status.st_uid = options_.uid;
    if (options_.gid != kAsSource) status.st_gid = options_.gid;
    if (options_.mode != kAsSource) status.st_mode = (status.st_mode & S_IFMT) | options_.mode;
  }
  // Mode 0 says that a volume is not filled yet (copytree.cc).
  const mode_t mode = status.st_mode & 07777;
  return describe(from, to, status, depth_ == 0 && mode == 0 ? 0700 : mode);
}

}  // namespace

long copy_tree(int from, int to, const CopyOptions& options, char* path, CopyLosses* losses) {
  path[0] = 0;
  CopyLosses nobody_asks;
  Copier copier(to, options, path, losses == nullptr ? nobody_asks : *losses);
  return copier.folder(from, to, 0);
}

}  // namespace boxctl
