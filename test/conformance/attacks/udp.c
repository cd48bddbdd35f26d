// UDP, which the small image's tools do not have.
//   udp serve PORT                 sends back what comes, on all addresses of both families
//   udp ask ADDRESS PORT TEXT [FROM]  sends it, and prints the answer, or the error, or "nothing" after a second
//   udp hear PORT                  prints what comes
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { kMost = 8192 };

static int serve(int port, int answers) {
  int fd = socket(AF_INET6, SOCK_DGRAM, 0);
  struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  if (bind(fd, (struct sockaddr*)&name, sizeof name) != 0) return 1;
  for (;;) {
    char text[kMost];
    struct sockaddr_in6 peer;
    socklen_t size = sizeof peer;
    ssize_t got = recvfrom(fd, text, sizeof text, 0, (struct sockaddr*)&peer, &size);
    if (got >= 0 && !answers) dprintf(1, "%.*s\n", (int)got, text);
    else if (got >= 0) sendto(fd, text, (size_t)got, 0, (struct sockaddr*)&peer, size);
  }
}

static int ask(const char* address, int port, const char* text, int from) {
  struct sockaddr_in name4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  struct sockaddr_in6 name6 = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  int six = strchr(address, ':') != NULL;
  if (inet_pton(six ? AF_INET6 : AF_INET, address, six ? (void*)&name6.sin6_addr : (void*)&name4.sin_addr) != 1) return 2;
  int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in own4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)from)};
  struct sockaddr_in6 own6 = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)from)};
  if (bind(fd, six ? (void*)&own6 : (void*)&own4, six ? sizeof own6 : sizeof own4) != 0) return 1;
  struct timeval wait = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  char answer[kMost];
  ssize_t got = -1;
  if (connect(fd, six ? (void*)&name6 : (void*)&name4, six ? sizeof name6 : sizeof name4) == 0 &&
      send(fd, text, strlen(text), 0) >= 0)
    got = recv(fd, answer, sizeof answer, 0);
  if (got >= 0) printf("%.*s\n", (int)got, answer);
  else printf("%s\n", errno == EAGAIN ? "nothing" : strerror(errno));
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(atoi(argv[2]), 1);
  if (argc == 3 && strcmp(argv[1], "hear") == 0) return serve(atoi(argv[2]), 0);
  if ((argc == 5 || argc == 6) && strcmp(argv[1], "ask") == 0)
    return ask(argv[2], atoi(argv[3]), argv[4], argc == 6 ? atoi(argv[5]) : 0);
  return 3;
}
