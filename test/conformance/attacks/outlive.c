// A command that would live on without its launcher: it takes back that it dies with it, and so do its descendants, who
// have left its session and its children.
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static void stay(void) {
  prctl(PR_SET_PDEATHSIG, 0);
  signal(SIGHUP, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  for (;;) pause();
}

int main(void) {
  for (int i = 0; i < 2; i++) {
    if (fork() != 0) continue;
    setsid();
    if (fork() != 0) _exit(0);
    stay();
  }
  puts("ready");
  fflush(stdout);
  stay();
}
