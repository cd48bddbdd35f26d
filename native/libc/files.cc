// Files and folders: functions that are one system call.
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "raw.h"

using boxctl::libc::call;
using boxctl::libc::call_int;

namespace {

// Whether an argument follows the flags of open(2): the mode, in the lower half of a register.
constexpr bool has_mode(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

}  // namespace

extern "C" {

int openat(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const long argument = va_arg(list, long);
  va_end(list);
  const mode_t mode = has_mode(flags) ? static_cast<mode_t>(argument) : 0;
  return call_int(SYS_openat, folder, path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const long argument = va_arg(list, long);
  va_end(list);
  const mode_t mode = has_mode(flags) ? static_cast<mode_t>(argument) : 0;
  return call_int(SYS_openat, AT_FDCWD, path, flags, mode);
}
int close(int fd) { return call_int(SYS_close, fd); }
int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const long argument = va_arg(list, long);
  va_end(list);
  return call_int(SYS_fcntl, fd, command, argument);
}
int dup2(int from, int to) noexcept {
  // dup3(2) refuses what dup2(2) leaves as it is.
  if (from == to) return fcntl(from, F_GETFD) < 0 ? -1 : to;
  return call_int(SYS_dup3, from, to, 0);
}
int pipe2(int* ends, int flags) noexcept { return call_int(SYS_pipe2, ends, flags); }
int inotify_init1(int flags) noexcept { return call_int(SYS_inotify_init1, flags); }
int inotify_add_watch(int fd, const char* path, uint32_t mask) noexcept {
  return call_int(SYS_inotify_add_watch, fd, path, mask);
}
int flock(int fd, int operation) noexcept { return call_int(SYS_flock, fd, operation); }

ssize_t read(int fd, void* bytes, size_t size) { return call(SYS_read, fd, bytes, size); }
ssize_t pread(int fd, void* bytes, size_t size, off_t at) { return call(SYS_pread64, fd, bytes, size, at); }
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) { return call(SYS_pwrite64, fd, bytes, size, at); }
ssize_t write(int fd, const void* bytes, size_t size) { return call(SYS_write, fd, bytes, size); }
off_t lseek(int fd, off_t at, int from) noexcept { return call(SYS_lseek, fd, at, from); }
int ftruncate(int fd, off_t size) noexcept { return call_int(SYS_ftruncate, fd, size); }
ssize_t sendfile(int to, int from, off_t* at, size_t size) noexcept { return call(SYS_sendfile, to, from, at, size); }
ssize_t splice(int from, off64_t* from_at, int to, off64_t* to_at, size_t size, unsigned flags) {
  return call(SYS_splice, from, from_at, to, to_at, size, flags);
}
ssize_t tee(int from, int to, size_t size, unsigned flags) { return call(SYS_tee, from, to, size, flags); }

int fstatat(int folder, const char* path, struct stat* status, int flags) noexcept {
  return call_int(SYS_newfstatat, folder, path, status, flags);
}
int stat(const char* path, struct stat* status) noexcept { return fstatat(AT_FDCWD, path, status, 0); }
int fstat(int fd, struct stat* status) noexcept { return call_int(SYS_fstat, fd, status); }
int fstatfs(int fd, struct statfs* status) noexcept { return call_int(SYS_fstatfs, fd, status); }

int mkdirat(int folder, const char* path, mode_t mode) noexcept { return call_int(SYS_mkdirat, folder, path, mode); }
int mknodat(int folder, const char* path, mode_t mode, dev_t device) noexcept {
  return call_int(SYS_mknodat, folder, path, mode, device);
}
int symlinkat(const char* target, int folder, const char* path) noexcept {
  return call_int(SYS_symlinkat, target, folder, path);
}
int linkat(int from, const char* old_path, int to, const char* new_path, int flags) noexcept {
  return call_int(SYS_linkat, from, old_path, to, new_path, flags);
}
ssize_t readlinkat(int folder, const char* path, char* text, size_t size) noexcept {
  return call(SYS_readlinkat, folder, path, text, size);
}
int unlinkat(int folder, const char* path, int flags) noexcept { return call_int(SYS_unlinkat, folder, path, flags); }

int chmod(const char* path, mode_t mode) noexcept { return call_int(SYS_fchmodat, AT_FDCWD, path, mode); }
int fchmod(int fd, mode_t mode) noexcept { return call_int(SYS_fchmod, fd, mode); }
int fchmodat(int folder, const char* path, mode_t mode, int flags) noexcept {
  // The call has no flags.
  if (flags != 0) return static_cast<int>(boxctl::libc::finish(-EOPNOTSUPP));
  return call_int(SYS_fchmodat, folder, path, mode);
}
int fchown(int fd, uid_t owner, gid_t group) noexcept { return call_int(SYS_fchown, fd, owner, group); }
int fchownat(int folder, const char* path, uid_t owner, gid_t group, int flags) noexcept {
  return call_int(SYS_fchownat, folder, path, owner, group, flags);
}
int utimensat(int folder, const char* path, const timespec* times, int flags) noexcept {
  return call_int(SYS_utimensat, folder, path, times, flags);
}
int futimens(int fd, const timespec* times) noexcept { return call_int(SYS_utimensat, fd, nullptr, times, 0); }

int fsetxattr(int fd, const char* name, const void* value, size_t size, int flags) noexcept {
  return call_int(SYS_fsetxattr, fd, name, value, size, flags);
}
ssize_t fgetxattr(int fd, const char* name, void* value, size_t size) noexcept {
  return call(SYS_fgetxattr, fd, name, value, size);
}
ssize_t flistxattr(int fd, char* names, size_t size) noexcept { return call(SYS_flistxattr, fd, names, size); }

}  // extern "C"
