/*
 * Takes what the kernel counts for a user until there is no more, says how much it got, and holds it until its input ends.
 * Elsewhere: takes one of each, and says NAME ERRNO, 0 where it succeeded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char* name, long result) {
  printf("%s %d\n", name, result < 0 ? errno : 0);
  fflush(stdout);
}

static void hold(long got) {
  printf("held %ld\n", got);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
}

static long queue(const char* name) {
  struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 8192};
  const mqd_t made = mq_open(name, O_CREAT | O_RDWR, 0600, &attributes);
  if (made < 0) return -1;
  mq_unlink(name);
  return made;
}

static long pending(int number) {
  const union sigval value = {.sival_int = number};
  return sigqueue(getpid(), SIGRTMIN, value);
}

static long key(long number) {
  char name[32];
  snprintf(name, sizeof name, "boxctl-test-%ld", number);
  return syscall(SYS_add_key, "user", name, "x", 1L, KEY_SPEC_PROCESS_KEYRING);
}

static void block(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
}

static void take(const char* what) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  block();
  long got = 0;
  for (; got < 2000000; got++) {
    char name[32];
    long result = -1;
    snprintf(name, sizeof name, "/boxctl-%ld", got);
    if (strcmp(what, "inotify") == 0) result = inotify_init();
    if (strcmp(what, "queues") == 0) result = queue(name);
    if (strcmp(what, "signals") == 0) result = pending(0);
    if (strcmp(what, "keys") == 0) result = key(got);
    if (strcmp(what, "processes") == 0) {
      const pid_t child = fork();
      if (child == 0) {
        for (;;) pause();
      }
      result = child;
    }
    if (result < 0) break;
  }
  hold(got);
}

static void one(void) {
  block();
  say("inotify", inotify_init());
  say("queue", queue("/boxctl-test-one"));
  say("signal", pending(0));
  say("key", key(0));
}

static void network(void) {
  say("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
  say("port_80", bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr*)&address, sizeof address));
}

int main(int count, char** words) {
  if (count > 1 && strcmp(words[1], "one") == 0) one();
  else if (count > 1 && strcmp(words[1], "network") == 0) network();
  else if (count > 1) take(words[1]);
  return 0;
}
