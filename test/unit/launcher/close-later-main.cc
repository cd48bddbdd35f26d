// Gives the write end of a pipe to close_later, and waits until the kernel has closed it. Prints "closed", and the number
// of descriptors that this process has open more than before.
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "../../../native/launcher/close_later.h"

namespace {

int open_descriptors() {
  DIR* const folder = opendir("/proc/self/fd");
  int count = 0;
  while (readdir(folder) != nullptr) count++;
  closedir(folder);
  return count;
}

}  // namespace

int main() {
  const int before = open_descriptors();
  int ends[2];
  if (pipe(ends) != 0) return 1;
  boxctl::close_later(boxctl::Fd(ends[1]));
  pollfd end = {ends[0], POLLIN, 0};
  if (poll(&end, 1, 5000) != 1 || (end.revents & POLLHUP) == 0) return 2;
  close(ends[0]);
  printf("closed %d\n", open_descriptors() - before);
  return 0;
}
