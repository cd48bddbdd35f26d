// The launcher's relay by itself. The first argument is a network namespace for the sockets to the targets, or `-` for
// the program's own. Each other argument is a socket to listen at: `tcp|udp,LISTEN,TARGET[+TARGET],MOST,IDLE`; the
// ports are written to standard output, a line each. It relays until standard input ends, then writes how many
// descriptors it has opened.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../native/launcher/network_relay.h"

namespace {

int listen_at(const char* type, const boxctl::SocketAddress& address) {
  const bool stream = strcmp(type, "tcp") == 0;
  const int fd = socket(address.family(), stream ? SOCK_STREAM : SOCK_DGRAM, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.family() == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, &address.any, address.size()) != 0 || (stream && listen(fd, 128) != 0)) return -1;
  return fd;
}

int port_of(int fd) {
  boxctl::SocketAddress address;
  socklen_t size = sizeof address;
  getsockname(fd, &address.any, &size);
  return address.port();
}

int open_descriptors() {
  int count = -1;  // that of the folder itself
  DIR* folder = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

}  // namespace

int main(int count, char** arguments) {
  const int before = open_descriptors();
  boxctl::NetworkRelay relay;
  const int network = count > 1 ? open(arguments[1], O_RDONLY) : -1;
  for (int i = 2; i < count; i++) {
    const char* const type = strtok(arguments[i], ",");
    boxctl::SocketAddress address;
    boxctl::SocketAddress targets[2];
    boxctl::NetworkRelay::Options options;
    // Port 0 is none that a plan may write.
    char* const listen_text = strtok(nullptr, ",");
    char* const target_text = strtok(nullptr, ",");
    options.most = static_cast<uint32_t>(atoi(strtok(nullptr, ",")));
    options.idle = static_cast<uint32_t>(atoi(strtok(nullptr, ",")));
    if (!boxctl::parse_address(listen_text, address)) return 2;
    address.set_port(0);
    for (char* target = strtok(target_text, "+"); target != nullptr; target = strtok(nullptr, "+")) {
      if (!boxctl::parse_address(target, targets[options.target_count++])) return 2;
    }
    options.targets = targets;
    options.network = network;
    const int fd = listen_at(type, address);
    if (fd < 0 || relay.add(fd, options) != 0) return 3;
    printf("%d\n", port_of(fd));
    close(fd);
  }
  close(network);
  if (relay.start() != 0) return 4;
  fflush(stdout);
  for (;;) {
    pollfd input = {0, POLLIN, 0};
    boxctl::Poller poller;
    relay.add_sources(poller);
    poller.add(0, POLLIN);
    poller.wait();
    if (poll(&input, 1, 0) > 0) break;
    relay.handle();
  }
  if (getenv("STOP") != nullptr) relay.stop();
  printf("%d\n", open_descriptors() - before);
  return 0;
}
