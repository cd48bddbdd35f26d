// Measures a path through a network: round trips, connections and a stream, over TCP.
//   roundtrip serve PORT                 answers all of these
//   roundtrip trips ADDRESS PORT COUNT   prints the microseconds of a round trip of one byte: the median of COUNT
//   roundtrip opens ADDRESS PORT COUNT   the same for a connection with one round trip, opened and closed
//   roundtrip sends ADDRESS PORT MS      prints the Gbit/s that the server has taken in this time
//   roundtrip takes ADDRESS PORT MS      prints the Gbit/s that the server has sent in this time
// The first byte of a connection says what the server does with it.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 17];

static double now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void fail(const char* what) {
  perror(what);
  exit(1);
}

static void without_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void answer(int fd) {
  char kind;
  if (read(fd, &kind, 1) != 1) exit(0);
  if (kind == 's') {
    // The number of bytes is sent back when the client has ended.
    unsigned long long total = 0;
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) total += (unsigned long long)got;
    if (write(fd, &total, sizeof total) < 0) exit(1);
  } else if (kind == 't') {
    while (write(fd, buffer, sizeof buffer) > 0) {
    }
  } else {
    for (ssize_t got; (got = read(fd, buffer, 1)) > 0;) {
      if (write(fd, buffer, (size_t)got) < 0) break;
    }
  }
  exit(0);
}

static void serve(int port) {
  const int fd = socket(AF_INET6, SOCK_STREAM, 0);
  const int on = 1;
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 1024) != 0) fail("bind");
  signal(SIGCHLD, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  for (;;) {
    const int client = accept(fd, NULL, NULL);
    if (client < 0) continue;
    without_delay(client);
    if (fork() == 0) answer(client);
    close(client);
  }
}

static int open_to(const char* text, int port, char kind) {
  struct sockaddr_storage space = {0};
  struct sockaddr_in* four = (struct sockaddr_in*)&space;
  struct sockaddr_in6* six = (struct sockaddr_in6*)&space;
  socklen_t size = sizeof *four;
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons((unsigned short)port);
  } else {
    size = sizeof *six;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((unsigned short)port);
    if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1) exit(2);
  }
  const int fd = socket(space.ss_family, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&space, size) != 0) fail("connect");
  without_delay(fd);
  if (write(fd, &kind, 1) != 1) fail("write");
  return fd;
}

static void trip(int fd) {
  char byte = 'x';
  if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) fail("a round trip");
}

static int compare(const void* one, const void* other) {
  const double a = *(const double*)one, b = *(const double*)other;
  return (a > b) - (a < b);
}

int main(int count, char** words) {
  if (count < 3) return 2;
  if (strcmp(words[1], "serve") == 0) serve(atoi(words[2]));
  if (count < 5) return 2;
  const char* address = words[2];
  const int port = atoi(words[3]), amount = atoi(words[4]);
  double* times = calloc((size_t)amount + 1, sizeof *times);
  if (strcmp(words[1], "trips") == 0 || strcmp(words[1], "opens") == 0) {
    const int keeps = words[1][0] == 't';
    int fd = keeps ? open_to(address, port, 'e') : -1;
    for (int i = 0; i < amount; i++) {
      const double start = now_us();
      if (!keeps) fd = open_to(address, port, 'e');
      trip(fd);
      if (!keeps) close(fd);
      times[i] = now_us() - start;
    }
    qsort(times, (size_t)amount, sizeof *times, compare);
    printf("%.2f\n", times[amount / 2]);
    return 0;
  }
  const int takes = strcmp(words[1], "takes") == 0;
  const int fd = open_to(address, port, takes ? 't' : 's');
  const double start = now_us(), end = start + amount * 1e3;
  unsigned long long total = 0;
  while (now_us() < end) {
    const ssize_t moved = takes ? read(fd, buffer, sizeof buffer) : write(fd, buffer, sizeof buffer);
    if (moved <= 0) fail("the stream");
    total += (unsigned long long)moved;
  }
  if (!takes) {
    shutdown(fd, SHUT_WR);
    if (read(fd, &total, sizeof total) != sizeof total) fail("the count");
  }
  printf("%.2f\n", total * 8 / (now_us() - start) / 1e3);
  return 0;
}
