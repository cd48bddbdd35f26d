// Starts containers in turn, and writes a line for each start: its name, the microseconds until its command ran (-1
// where that is not told), until its end was told, until the program had ended, and the processor time of all its
// processes. Subjects take turns in each round, so that what else the machine does falls on all alike.
//
//   start ROUNDS PAUSE_MS -- KIND NAME WORD... -- KIND NAME WORD...
//
//   plan NAME LAUNCHER PLAN   executes the launcher as boxctl does, with the plan's bytes in a file
//   told NAME PROGRAM...      closes its descriptor 3 when its command runs
//   run NAME PROGRAM...       any other; `%` becomes a number of its own
//   fed NAME FILE PROGRAM...  the same with FILE as its descriptor 3
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// native/wire/events.h
struct record {
  uint32_t kind, index;
  int32_t error;
  uint32_t value;
  uint64_t start, end;
};
enum { FAILED = 3, STARTED = 6, EXITED = 8, SIGNALED = 9, PLAN_FD = 3, CONTROL_FD = 4 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void fail(const char* what) {
  perror(what);
  exit(1);
}

// The parent waits in vfork until the program is executed: only descriptors are moved before.
static pid_t execute(char** words, int third, int fourth) {
  const pid_t pid = vfork();
  if (pid != 0) return pid;
  if (third >= 0 && dup2(third, 3) < 0) _exit(126);
  if (fourth >= 0 && dup2(fourth, 4) < 0) _exit(126);
  execv(words[0], words);
  _exit(127);
}

// Returns the processor time of the program and of all that it waited for, in microseconds.
static double check(pid_t pid, const char* name) {
  int status = 0;
  struct rusage used;
  if (wait4(pid, &status, 0, &used) != pid || status != 0) {
    fprintf(stderr, "%s has failed (status %d)\n", name, status);
    exit(1);
  }
  return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static void report(const char* name, double started, double told, double whole, double used) {
  printf("%s\t%.0f\t%.0f\t%.0f\t%.0f\n", name, started, told, whole, used);
}

static void start_plan(const char* name, char** words) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) fail("socketpair");
  const int plan = open(words[1], O_RDONLY | O_CLOEXEC);
  if (plan < 0) fail(words[1]);
  // Above the numbers that are filled.
  const int high = fcntl(pair[1], F_DUPFD_CLOEXEC, 16), high_plan = fcntl(plan, F_DUPFD_CLOEXEC, 16);
  close(pair[1]);
  close(plan);
  const int socket = fcntl(pair[0], F_DUPFD_CLOEXEC, 16);
  close(pair[0]);
  const double begin = now();
  double started = -1, exited = -1;
  char* argv[] = {words[0], NULL};
  const pid_t pid = execute(argv, high_plan, high);
  close(high);
  close(high_plan);
  struct record records[256];
  size_t have = 0;
  for (;;) {
    const ssize_t got = read(socket, (char*)records + have, sizeof records - have);
    if (got <= 0) break;
    have += (size_t)got;
    size_t whole = have / sizeof *records;
    for (size_t i = 0; i < whole; i++) {
      if (records[i].kind == STARTED) started = now() - begin;
      if (records[i].kind == EXITED) exited = now() - begin;
      if (records[i].kind != FAILED) continue;
      fprintf(stderr, "%s: step %u has failed: %s\n", name, records[i].index, strerror(records[i].error));
      exit(1);
    }
    memmove(records, records + whole, have - whole * sizeof *records);
    have -= whole * sizeof *records;
  }
  const double used = check(pid, name);
  const double whole = now() - begin;
  close(socket);
  report(name, started, exited, whole, used);
}

static void start_told(const char* name, char** words) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  const int high = fcntl(ends[1], F_DUPFD_CLOEXEC, 16), reading = fcntl(ends[0], F_DUPFD_CLOEXEC, 16);
  close(ends[0]);
  close(ends[1]);
  const double begin = now();
  const pid_t pid = execute(words, high, -1);
  close(high);
  char byte;
  if (read(reading, &byte, 1) != 0) fail("read");
  const double started = now() - begin;
  const double used = check(pid, name);
  const double whole = now() - begin;
  close(reading);
  report(name, started, whole, whole, used);
}

static void run(const char* name, const char* file, char** words, int count) {
  static int number = 0;
  char* argv[64];
  char unique[32];
  snprintf(unique, sizeof unique, "bench-%d-%d", (int)getpid(), ++number);
  for (int i = 0; i <= count; i++) argv[i] = i < count && strcmp(words[i], "%") == 0 ? unique : words[i];
  const int third = file == NULL ? -1 : open(file, O_RDONLY | O_CLOEXEC);
  if (file != NULL && third < 0) fail(file);
  // What has the number already would be closed by its execution.
  const int high = third < 0 ? -1 : fcntl(third, F_DUPFD_CLOEXEC, 16);
  if (third >= 0) close(third);
  const double begin = now();
  const double used = check(execute(argv, high, -1), name);
  const double whole = now() - begin;
  if (high >= 0) close(high);
  report(name, -1, whole, whole, used);
}

static void start_one(int argc, char** argv, int at, int pause_ms) {
  int end = at;
  while (end < argc && strcmp(argv[end], "--") != 0) end++;
  char* words[64] = {NULL};
  const int count = end - at - 2;
  if (count < 1 || count > 62) exit(2);
  for (int i = 0; i < count; i++) words[i] = argv[at + 2 + i];
  if (pause_ms > 0) poll(NULL, 0, pause_ms);
  if (strcmp(argv[at], "plan") == 0)
    start_plan(argv[at + 1], words);
  else if (strcmp(argv[at], "told") == 0)
    start_told(argv[at + 1], words);
  else if (strcmp(argv[at], "fed") == 0)
    run(argv[at + 1], words[0], words + 1, count - 1);
  else
    run(argv[at + 1], NULL, words, count);
}

int main(int argc, char** argv) {
  const int rounds = atoi(argv[1]), pause_ms = atoi(argv[2]);
  int places[32], count = 0;
  for (int at = 3; at < argc; at++) {
    if (strcmp(argv[at], "--") != 0) continue;
    if (count == 32) return 2;
    places[count++] = at + 1;
  }
  for (int round = 0; round < rounds; round++) {
    for (int i = 0; i < count; i++) {
      // There and back: the kernel takes down what the one before has made, while the next one runs.
      const int at = places[round % 2 == 0 ? i : count - 1 - i];
      start_one(argc, argv, at, pause_ms);
    }
  }
  return 0;
}
