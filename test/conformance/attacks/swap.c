// Exchanges two names as fast as it can, until it is killed: the other half of a race between a check and a use.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  puts("swapping");
  fflush(stdout);
  // RENAME_EXCHANGE
  for (;;) syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, argv[2], 2u);
}
