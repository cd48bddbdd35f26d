// Linked with native/libc alone: starts /bin/sh, whose status becomes its own. 99 where a program that is not there
// could be started, unless it is told `emulated`: an emulator gives the new process memory of its own.
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main() {
  char text[8] = {};
  if (read(0, text, sizeof text) < 0) return 98;
  char name[] = "sh", option[] = "-c", script[] = "exit 42";
  char* argv[] = {name, option, script, nullptr};
  char* environment[] = {nullptr};
  pid_t pid = -1;
  const bool found = posix_spawn(&pid, "/nowhere", nullptr, nullptr, argv, environment) != ENOENT;
  if (found && memcmp(text, "emulated", sizeof text) != 0) return 99;
  int status = 0;
  if (posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv, environment) != 0 || waitpid(pid, &status, 0) != pid)
    return 97;
  return WEXITSTATUS(status);
}
