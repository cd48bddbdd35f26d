/*
 * A hostile process that waits for others of its process namespace, and takes what it can reach of each: its program,
 * descriptors, memory and folders, and the process itself. What it got is printed as WHAT TARGET, once each; when its
 * input ends it tries to write to every program that it still has a handle on.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 256, LENGTH = 400 };
static char said[MOST][LENGTH];
static int handles[MOST];
static int count, kept;
static long seen;

/* Whether this is news. */
static int say(const char* what, const char* target) {
  char line[LENGTH];
  snprintf(line, sizeof line, "%s %s", what, target);
  for (int i = 0; i < count; i++) {
    if (strcmp(said[i], line) == 0) return 0;
  }
  if (count == MOST) return 0;
  strcpy(said[count++], line);
  puts(line);
  fflush(stdout);
  return 1;
}

static void look(const char* what, const char* pid, const char* name, int keep) {
  char path[300], target[300];
  snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
  const int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(path, target, sizeof target - 1);
  target[size < 0 ? 0 : size] = 0;
  /* The numbers of pipes and sockets are no news. */
  char* bracket = strchr(target, '[');
  if (bracket != NULL) *bracket = 0;
  if (say(what, target) && keep && kept < MOST) {
    handles[kept++] = fd;
  } else {
    close(fd);
  }
}

static void hunt(const char* pid) {
  char path[300];
  look("exe", pid, "exe", 1);
  look("cwd", pid, "cwd", 0);
  look("root", pid, "root", 0);
  snprintf(path, sizeof path, "/proc/%s/fd", pid);
  DIR* fds = opendir(path);
  for (struct dirent* entry; fds != NULL && (entry = readdir(fds)) != NULL;) {
    char name[300];
    if (entry->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "fd/%s", entry->d_name);
    look("fd", pid, name, 0);
  }
  if (fds != NULL) closedir(fds);
  snprintf(path, sizeof path, "/proc/%s/mem", pid);
  const int mem = open(path, O_RDWR | O_CLOEXEC);
  if (mem >= 0) {
    close(mem);
    look("mem", pid, "exe", 0);
  }
  const pid_t number = atoi(pid);
  if (ptrace(PTRACE_SEIZE, number, 0, 0) == 0) {
    look("ptrace", pid, "exe", 0);
    ptrace(PTRACE_INTERRUPT, number, 0, 0);
    waitpid(number, NULL, __WALL);
    ptrace(PTRACE_DETACH, number, 0, 0);
  }
}

int main(void) {
  puts("ready");
  fflush(stdout);
  char self[16];
  snprintf(self, sizeof self, "%d", (int)getpid());
  struct pollfd input = {0, POLLIN, 0};
  int last = 0;
  while (poll(&input, 1, 0) == 0) {
    DIR* all = opendir("/proc");
    for (struct dirent* entry; (entry = readdir(all)) != NULL;) {
      const int pid = atoi(entry->d_name);
      if (pid <= 1 || strcmp(entry->d_name, self) == 0) continue;
      if (pid > last) {
        seen++;
        last = pid;
      }
      hunt(entry->d_name);
    }
    closedir(all);
  }
  for (int i = 0; i < kept; i++) {
    char path[64], target[300];
    snprintf(path, sizeof path, "/proc/self/fd/%d", handles[i]);
    const ssize_t size = readlink(path, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = 0;
    const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd >= 0 && write(fd, "#", 1) == 1) say("overwritten", target);
    if (fd >= 0) close(fd);
  }
  printf("seen %ld\n", seen);
  return 0;
}
