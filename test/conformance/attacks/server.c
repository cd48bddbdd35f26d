/*
 * Servers on all addresses of both families, for tests of a container's network. Prints `ready` once they listen.
 *
 *   PORT      TCP and UDP: sends back what it gets; prints a datagram that begins with `evil`
 *   PORT + 1  TCP: accepts, and never reads
 *   PORT + 2  TCP: sends without end, and never reads
 *   PORT + 3  TCP: resets each connection
 *   PORT + 4  TCP: says who has connected, and closes
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO, DEAF, ENDLESS, RESET, WHO, KINDS, DATAGRAMS = 100, CONNECTION = 200 };

struct peer {
  int fd;
  int kind;
  size_t at, size;
  char bytes[16384];
};

static int epoll;

static struct peer *watch(int fd, int kind, uint32_t events) {
  struct peer *peer = calloc(1, sizeof *peer);
  peer->fd = fd;
  peer->kind = kind;
  struct epoll_event event = {events, {.ptr = peer}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  return peer;
}

static int listener(int port, int type) {
  int fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (void *)&name, sizeof name) != 0 || (type == SOCK_STREAM && listen(fd, 4096) != 0)) {
    perror("bind");
    exit(1);
  }
  return fd;
}

static void welcome(struct peer *door) {
  struct sockaddr_in6 name;
  socklen_t size = sizeof name;
  int fd = accept4(door->fd, (void *)&name, &size, SOCK_NONBLOCK);
  if (fd < 0) return;
  char text[64] = "";
  struct linger now = {1, 0};
  switch (door->kind) {
    case ECHO:
      watch(fd, CONNECTION + ECHO, EPOLLIN);
      break;
    case ENDLESS:
      watch(fd, CONNECTION + ENDLESS, EPOLLOUT);
      break;
    case RESET:
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      close(fd);
      break;
    case WHO:
      inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof text - 1);
      strcat(text, "\n");
      send(fd, text, strlen(text), MSG_NOSIGNAL);
      close(fd);
      break;
    default:
      break;
  }
}

static void finish(struct peer *peer) {
  close(peer->fd);
  free(peer);
}

static void echo(struct peer *peer) {
  for (;;) {
    if (peer->size == 0) {
      ssize_t got = recv(peer->fd, peer->bytes, sizeof peer->bytes, 0);
      if (got < 0 && errno == EAGAIN) break;
      if (got <= 0) return finish(peer);
      peer->at = 0;
      peer->size = got;
    }
    ssize_t sent = send(peer->fd, peer->bytes + peer->at, peer->size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return finish(peer);
    if (sent <= 0) break;
    peer->at += sent;
    peer->size -= sent;
  }
  struct epoll_event event = {peer->size > 0 ? EPOLLOUT : EPOLLIN, {.ptr = peer}};
  epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
}

static void datagrams(struct peer *peer) {
  static char bytes[65536];
  struct sockaddr_in6 from;
  for (;;) {
    socklen_t size = sizeof from;
    ssize_t got = recvfrom(peer->fd, bytes, sizeof bytes, 0, (void *)&from, &size);
    if (got < 0) return;
    if (got >= 4 && memcmp(bytes, "evil", 4) == 0) {
      printf("got %.*s\n", (int)got, bytes);
      fflush(stdout);
    }
    sendto(peer->fd, bytes, got, 0, (void *)&from, size);
  }
}

int main(int count, char **arguments) {
  int port = count > 1 ? atoi(arguments[1]) : 7000;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  epoll = epoll_create1(0);
  for (int kind = ECHO; kind < KINDS; kind++) watch(listener(port + kind, SOCK_STREAM), kind, EPOLLIN);
  watch(listener(port, SOCK_DGRAM), DATAGRAMS, EPOLLIN);
  puts("ready");
  fflush(stdout);
  static char zeros[16384];
  for (;;) {
    struct epoll_event events[64];
    int ready = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      struct peer *peer = events[i].data.ptr;
      if (peer->kind == DATAGRAMS) {
        datagrams(peer);
      } else if (peer->kind == CONNECTION + ECHO) {
        echo(peer);
      } else if (peer->kind == CONNECTION + ENDLESS) {
        if (send(peer->fd, zeros, sizeof zeros, MSG_NOSIGNAL) < 0 && errno != EAGAIN) finish(peer);
      } else {
        welcome(peer);
      }
    }
  }
}
