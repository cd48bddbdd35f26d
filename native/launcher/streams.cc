#include "streams.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "../shared/syscalls.h"
#include "handover.h"

namespace boxctl {
namespace {

constexpr int kAtEacces = 0x200;

enum class Way { kPass, kNull, kRelay };

// Devices that do nothing but give or take bytes: null, zero, full, random and urandom.
bool is_harmless_device(dev_t device) {
  const unsigned number = minor(device);
  return major(device) == 1 && (number == 3 || number == 5 || number == 7 || number == 8 || number == 9);
}

int socket_option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// A local stream socket, which cannot be opened by its name in /proc and carries bytes as a pipe does. Other sockets
// are passed: their addresses and the borders of their messages would be lost in a relay.
bool is_local_stream(int fd) {
  return socket_option(fd, SO_DOMAIN) == AF_UNIX && socket_option(fd, SO_TYPE) == SOCK_STREAM &&
         socket_option(fd, SO_ACCEPTCONN) == 0;
}

// By the rights of this process, which are the command's. Nothing is opened.
bool can_reopen(int fd, int mode) { return call(kSysFaccessat2, fd, "", mode, AT_EMPTY_PATH | kAtEacces) == 0; }

Way way_of(int fd, bool reads_terminal) {
  const bool input = fd == STDIN_FILENO;
  struct stat status;
  if (fstat(fd, &status) != 0) return Way::kNull;
  if (S_ISCHR(status.st_mode) && is_terminal(fd)) return input && !reads_terminal ? Way::kNull : Way::kRelay;
  if (S_ISSOCK(status.st_mode)) return is_local_stream(fd) ? Way::kRelay : Way::kPass;
  // With a folder's descriptor, everything around it could be reached, and with a device's, its controls.
  if (S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode)) return Way::kRelay;
  if (S_ISCHR(status.st_mode) && !is_harmless_device(status.st_rdev)) return Way::kRelay;
  return can_reopen(fd, input ? R_OK : W_OK) ? Way::kPass : Way::kRelay;
}

// Without kcmp(2) (CONFIG_KCMP), two descriptors of one pipe, socket or terminal count as the same.
bool is_same_open_file(int one, int other) {
  const pid_t self = getpid();
  const long order = call(SYS_kcmp, self, self, KCMP_FILE, one, other);
  if (order >= 0) return order == 0;
  struct stat first;
  struct stat second;
  return fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino && !S_ISREG(first.st_mode);
}

// The pipe belongs to the command's user, who can open it by its name in /proc. Its mode lets other users open it as
// well, since the command may change its user. Only a process that has the pipe already finds it in /proc/PID/fd.
long relay_through_pipe(const Context& context, int fd) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  const Fd reading(ends[0]);
  const Fd writing(ends[1]);
  const bool input = fd == STDIN_FILENO;
  const int own = input ? reading.get() : writing.get();
  if (fchmod(own, input ? 0644 : 0622) != 0) return -errno;
  Handover message;
  message.kind = kStream;
  message.index = static_cast<uint32_t>(fd);
  const long sent = send_handover(context.peer.get(), message, input ? writing.get() : reading.get());
  if (sent != 0) return sent;
  return dup2(own, fd) == fd ? 0 : -errno;
}

}  // namespace

bool is_terminal(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode)) return false;
  const unsigned number = major(status.st_rdev);
  // Consoles, /dev/tty and its kin, and pseudo-terminals, whatever they answer (Documentation/admin-guide/devices.txt).
  if (number == 4 || number == 5 || (number >= 136 && number <= 143)) return true;
  termios settings;
  return tcgetattr(fd, &settings) == 0 || errno == EIO;
}

long prepare_streams(const Context& context, bool reads_terminal, bool kept) {
  const Way output = kept ? Way::kRelay : way_of(STDOUT_FILENO, false);
  // One pipe for both keeps the order of what is written. A log tells them apart.
  const bool shared = !kept && output == Way::kRelay && is_same_open_file(STDOUT_FILENO, STDERR_FILENO);
  const Way input = reads_terminal ? Way::kRelay : Way::kNull;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    const Way own = fd == STDIN_FILENO ? input : Way::kRelay;
    const Way way = kept ? own : fd == STDOUT_FILENO ? output : way_of(fd, reads_terminal);
    long result = 0;
    if (fd == STDERR_FILENO && shared) {
      result = negate(dup2(STDOUT_FILENO, fd));
    } else if (way == Way::kNull) {
      result = negate(dup2(context.null.get(), fd));
    } else if (way == Way::kRelay) {
      result = relay_through_pipe(context, fd);
    }
    if (result < 0) return result;
  }
  return 0;
}

}  // namespace boxctl
