// Opens a path with ".." in it within a root, again and again, while a thread renames a file elsewhere. Writes how
// often that failed with EAGAIN.
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>

#include "../../../native/launcher/files.h"
#include "../../../native/shared/fd.h"

namespace {

std::atomic<bool> done{false};

void* rename_files(void* folder) {
  const int fd = *static_cast<int*>(folder);
  for (bool back = false; !done; back = !back) renameat(fd, back ? "b" : "a", fd, back ? "a" : "b");
  return nullptr;
}

}  // namespace

int main(int, char** arguments) {
  const boxctl::Fd root(open(arguments[1], O_PATH | O_DIRECTORY | O_CLOEXEC));
  int folder = root.get();
  mkdirat(folder, "d", 0700);
  const boxctl::Fd file(openat(folder, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  pthread_t thread;
  if (!root.valid() || pthread_create(&thread, nullptr, rename_files, &folder) != 0) return 1;
  int refused = 0;
  for (int i = 0; i < 100'000; i++) {
    const boxctl::Fd found(
        static_cast<int>(boxctl::open_at(folder, "d/../d/../d/../d/..", O_PATH | O_CLOEXEC, 0, RESOLVE_IN_ROOT)));
    if (found.get() == -EAGAIN) refused++;
  }
  done = true;
  pthread_join(thread, nullptr);
  printf("%d\n", refused);
  return 0;
}
