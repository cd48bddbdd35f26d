#include "claim.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace boxctl {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kFile = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
// Whoever has the lock looks at some files. After so many milliseconds Node waits for it, and tells of it.
constexpr int kPatienceMs = 50;

bool lock_soon(int fd) {
  for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
    if (errno != EWOULDBLOCK || i == kPatienceMs) return false;
    const timespec pause = {0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
  return true;
}

// Whether containers have addresses of the ranges that the plan's are of.
bool has_ranges(int folder, const Piece& ranges) {
  const Fd file(openat(folder, "pool", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  char text[1024];
  if (!file.valid() || ranges.data == nullptr || ranges.size > sizeof text) return false;
  return read(file.get(), text, ranges.size) == static_cast<ssize_t>(ranges.size) &&
         memcmp(text, ranges.data, ranges.size) == 0;
}

}  // namespace

bool Claim::take(Kept& kept) {
  const Fd folder(open(kept.network, kFolder));
  const Fd lock(openat(folder.get(), "lock", kFile));
  claims_ = Fd(openat(folder.get(), "addresses", kFolder));
  if (!lock.valid() || !claims_.valid() || !lock_soon(lock.get()) || !has_ranges(folder.get(), kept.ranges))
    return false;
  for (size_t i = 0; i < kept.numbers.size(); i++) {
    if (!take_number(kept, kept.numbers[i].number)) continue;
    kept.chosen = i;
    return true;
  }
  return false;
}

bool Claim::take_number(const Kept& kept, uint32_t number) {
  snprintf(name_, sizeof name_, "%u", number);
  if (call(SYS_faccessat, AT_FDCWD, Path(kept.in_use).add(name_).text(), 0) != -ENOENT) return false;
  Fd file(openat(claims_.get(), name_, kFile | O_CREAT, 0600));
  struct stat status;
  if (!file.valid() || flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
  // Its holder may have removed the file after it was opened.
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink == 0) return false;
  file_ = std::move(file);
  List<char> text;
  char head[32];
  const int size = snprintf(head, sizeof head, "{\"index\":%u,", number);
  const bool fits = text.add(head, static_cast<size_t>(size)) && text.add(kept.claim.data, kept.claim.size);
  if (fits && ftruncate(file_.get(), 0) == 0 &&
      write(file_.get(), text.begin(), text.size()) == static_cast<ssize_t>(text.size())) {
    return true;
  }
  give_up();
  return false;
}

void Claim::give_up() {
  struct stat status;
  if (!file_.valid()) return;
  // The launcher removes it, too: the name may be that of another claim by now.
  if (fstat(file_.get(), &status) == 0 && status.st_nlink > 0) unlinkat(claims_.get(), name_, 0);
  file_.reset();
}

}  // namespace boxctl
