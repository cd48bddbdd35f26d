#include "copytree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "../shared/fd.h"
#include "rmtree.h"

namespace boxctl {
namespace {

// Each level holds two descriptors and a piece of the stack.
constexpr int kMaxDepth = 200;
constexpr mode_t kUnreadable = 0700;

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

int copy_range(int from, int to, off_t start, off_t end) {
  if (lseek(to, start, SEEK_SET) < 0) return errno;
  for (off_t at = start; at < end;) {
    const ssize_t size = sendfile(to, from, &at, static_cast<size_t>(end - at));
    if (size < 0) return errno;
    if (size == 0) break;
  }
  return 0;
}

// Only what is data: a file of 10 GiB of nothing stays one.
int copy_data(int from, int to, off_t size) {
  if (ftruncate(to, size) != 0) return errno;
  for (off_t at = 0; at < size;) {
    off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return 0;
    off_t hole = data < 0 ? size : lseek(from, data, SEEK_HOLE);
    if (data < 0) data = at;
    if (hole < 0) hole = size;
    const int error = copy_range(from, to, data, hole);
    if (error != 0) return error;
    at = hole;
  }
  return 0;
}

// Labels and what the overlay writes for itself are not the file's own.
bool is_copied(const char* name) {
  return strncmp(name, "trusted.", 8) != 0 && strncmp(name, "security.selinux", 16) != 0 &&
         strncmp(name, "user.overlay.", 13) != 0;
}

int copy_attributes(int from, int to) {
  char names[4096];
  const ssize_t size = flistxattr(from, names, sizeof names);
  if (size < 0) return errno == EOPNOTSUPP ? 0 : errno;
  for (const char* name = names; name < names + size; name += strlen(name) + 1) {
    if (!is_copied(name)) continue;
    char value[65536];
    const ssize_t length = fgetxattr(from, name, value, sizeof value);
    if (length < 0) return errno;
    if (fsetxattr(to, name, value, static_cast<size_t>(length), 0) != 0) return errno;
  }
  return 0;
}

// The mode comes after the owner, which takes set-user-id bits away, and after the attributes, which need the right to
// write; the times come last.
int finish(int from, int to, const struct stat& status, mode_t mode) {
  if (fchown(to, status.st_uid, status.st_gid) != 0) return errno;
  const int error = copy_attributes(from, to);
  if (error != 0) return error;
  const timespec times[] = {status.st_atim, status.st_mtim};
  if (futimens(to, times) != 0) return errno;
  return fchmod(to, mode) == 0 ? 0 : errno;
}

int copy_entries(int from, int to, int depth);

int copy_folder(int from, int to, const char* name, const struct stat& status, int depth) {
  const Fd source(openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!source.valid()) return errno;
  if (mkdirat(to, name, kUnreadable) != 0) return errno;
  const Fd target(openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!target.valid()) return errno;
  const int error = copy_entries(source.get(), target.get(), depth + 1);
  return error != 0 ? error : finish(source.get(), target.get(), status, status.st_mode & 07777);
}

int copy_file(int from, int to, const char* name, const struct stat& status) {
  // Not to wait for what took the file's place since it was looked at.
  const Fd source(openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!source.valid()) return errno;
  const Fd target(openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!target.valid()) return errno;
  const int error = copy_data(source.get(), target.get(), status.st_size);
  return error != 0 ? error : finish(source.get(), target.get(), status, status.st_mode & 07777);
}

int copy_link(int from, int to, const char* name, const struct stat& status) {
  char text[4096];
  const ssize_t size = readlinkat(from, name, text, sizeof text - 1);
  if (size < 0) return errno;
  text[size] = '\0';
  if (symlinkat(text, to, name) != 0) return errno;
  return fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

int copy_pipe(int to, const char* name, const struct stat& status) {
  if (mknodat(to, name, S_IFIFO | (status.st_mode & 0777), 0) != 0) return errno;
  return fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

int copy_entry(int from, int to, const char* name, int depth) {
  struct stat status;
  if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  switch (status.st_mode & S_IFMT) {
    case S_IFDIR:
      return depth >= kMaxDepth ? ELOOP : copy_folder(from, to, name, status, depth);
    case S_IFREG:
      return copy_file(from, to, name, status);
    case S_IFLNK:
      return copy_link(from, to, name, status);
    case S_IFIFO:
      return copy_pipe(to, name, status);
    default:
      return 0;
  }
}

int copy_entries(int from, int to, int depth) {
  Listing listing(from);
  if (!listing.valid()) return errno;
  while (const char* name = listing.next()) {
    const int error = copy_entry(from, to, name, depth);
    if (error != 0) return error;
  }
  return errno;
}

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

int copytree(int from, int to) {
  const Fd target(openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!target.valid()) return errno;
  // Of two containers that begin at the same time, one fills it, and the other waits for that.
  if (flock(target.get(), LOCK_EX) != 0) return errno;
  struct stat status;
  if (fstat(target.get(), &status) != 0) return errno;
  if ((status.st_mode & 07777) != 0) return 0;
  const int error = clear(target.get());
  if (error != 0) return error;
  if (from < 0) return fchmod(target.get(), 0755) == 0 ? 0 : errno;
  const Fd source(openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source.valid() || fstat(source.get(), &status) != 0) return errno;
  const int failed = copy_entries(source.get(), target.get(), 0);
  if (failed != 0) return failed;
  // A folder of the image that nobody may enter would be taken for one that is not filled yet.
  const mode_t mode = status.st_mode & 07777;
  return finish(source.get(), target.get(), status, mode == 0 ? 0700 : mode);
}

}  // namespace boxctl
