// The log of a container in the background, without a container. Descriptor 0 is what it writes to its standard output,
// and descriptor 3, where it is open, to its standard error.
//   log-main files FOLDER MAX_SIZE MAX_FILES
//   log-main journal SOCKET reads|late    prints each message; `late`: only when all was written
//   log-main none
// At the end it writes what was lost: `lost BYTES ERRNO`.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../../native/launcher/console.h"
#include "../../../native/launcher/control.h"

namespace {

using boxctl::Fd;

// systemd's journal, as far as a sender sees it.
class Server {
 public:
  bool start(const char* path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    fd_ = Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    return bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  void add_sources(boxctl::Poller& poller) { poller.add<&Server::on_message>(fd_.get(), POLLIN, *this); }
  void on_message(short) {
    static char bytes[1 << 20];
    for (;;) {
      iovec part = {bytes, sizeof bytes};
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
      msghdr message = {};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      ssize_t size = recvmsg(fd_.get(), &message, 0);
      if (size < 0) return;
      const cmsghdr* const header = CMSG_FIRSTHDR(&message);
      if (header != nullptr) {
        int file;
        memcpy(&file, CMSG_DATA(header), sizeof file);
        size = pread(file, bytes, sizeof bytes, 0);
        close(file);
        printf("file ");
      }
      printf("%zd\n", size);
      fwrite(bytes, 1, static_cast<size_t>(size), stdout);
      fflush(stdout);
    }
  }

 private:
  Fd fd_;
};

}  // namespace

int main(int count, char** words) {
  if (count < 2) return 2;
  const bool has_error = fcntl(3, F_GETFD) >= 0;
  Fd second(has_error ? fcntl(3, F_DUPFD_CLOEXEC, 5) : -1);
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  boxctl::Events events(ends[0]);
  boxctl::Log log;
  Server server;
  bool late = false;
  long error = -EINVAL;
  if (strcmp(words[1], "files") == 0 && count == 5) {
    const Fd folder(open(words[2], O_RDONLY | O_DIRECTORY));
    error = log.keep_in_files(folder.get(), strtoull(words[3], nullptr, 10), strtoull(words[4], nullptr, 10));
  } else if (strcmp(words[1], "journal") == 0 && count == 4) {
    late = strcmp(words[3], "late") == 0;
    if (!server.start(words[2])) return 1;
    error = log.keep_in_journal(words[2], "web", "0123456789ab");
  } else if (strcmp(words[1], "none") == 0) {
    error = log.keep_nothing();
  }
  if (error != 0) return fprintf(stderr, "%s\n", strerror(static_cast<int>(-error))), 1;
  boxctl::Control control;
  boxctl::Console console(log, control);
  console.add(1, Fd(fcntl(0, F_DUPFD_CLOEXEC, 5)));
  if (has_error) console.add(2, std::move(second));
  boxctl::Poller poller;
  do {
    poller.clear();
    console.add_sources(poller);
    log.add_sources(poller);
    if (!late) server.add_sources(poller);
    if (poller.wait() != 0) return 1;
    poller.dispatch();
  } while (console.is_open());
  if (late) server.on_message(0);
  log.finish(events);
  server.on_message(0);
  events.flush();
  close(ends[0]);
  boxctl::Record record;
  unsigned long long lost = 0;
  int why = 0;
  while (read(ends[1], &record, sizeof record) == sizeof record) {
    lost += record.start;
    why = record.error;
  }
  printf("lost %llu %d\n", lost, why);
  return 0;
}
