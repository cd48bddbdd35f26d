// What functions become with _FORTIFY_SOURCE where the compiler knows the size of the memory that they fill, and not
// how much will be filled: the same, with that size. To fill more ends the program.
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

void check(size_t size, size_t room) {
  if (size > room) __builtin_trap();
}

}  // namespace

extern "C" {

void* __memcpy_chk(void* to, const void* from, size_t size, size_t room) noexcept {
  check(size, room);
  return memcpy(to, from, size);
}
void* __memmove_chk(void* to, const void* from, size_t size, size_t room) noexcept {
  check(size, room);
  return memmove(to, from, size);
}
void* __memset_chk(void* to, int byte, size_t size, size_t room) noexcept {
  check(size, room);
  return memset(to, byte, size);
}
ssize_t __read_chk(int fd, void* bytes, size_t size, size_t room) {
  check(size, room);
  return read(fd, bytes, size);
}
ssize_t __pread_chk(int fd, void* bytes, size_t size, off_t at, size_t room) {
  check(size, room);
  return pread(fd, bytes, size, at);
}
ssize_t __readlinkat_chk(int folder, const char* path, char* text, size_t size, size_t room) {
  check(size, room);
  return readlinkat(folder, path, text, size);
}
ssize_t __recv_chk(int fd, void* bytes, size_t size, size_t room, int flags) {
  check(size, room);
  return recv(fd, bytes, size, flags);
}
int __poll_chk(pollfd* fds, nfds_t count, int milliseconds, size_t room) {
  check(count * sizeof(pollfd), room);
  return poll(fds, count, milliseconds);
}
// The flags are not known while it is compiled, and no mode is given.
int __open_2(const char* path, int flags) { return open(path, flags); }

}  // extern "C"
