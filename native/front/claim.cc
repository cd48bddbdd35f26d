#include "claim.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../shared/directory.h"
#include "memberships.h"

namespace boxctl {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kFile = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
// Whoever has the lock looks at some files. After so many milliseconds Node waits for it, and tells of it.
constexpr int kPatienceMs = 50;

// The kernel removes the interface of a container that has ended within some of them. It takes Node longer to start.
constexpr int kRemovalMs = 25;

void wait_ms() {
  const timespec pause = {0, 1'000'000};
  nanosleep(&pause, nullptr);
}

bool lock_soon(int fd) {
  for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
    if (errno != EWOULDBLOCK || i == kPatienceMs) return false;
    wait_ms();
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

constexpr size_t kMostText = 64 * 1024;

// The text of a claim that a container holds. Empty: nobody does. False: it cannot be read.
bool read_held(int claims, const char* name, List<char>& text) {
  const Fd file(openat(claims, name, kFile));
  text.clear();
  if (!file.valid()) return errno == ENOENT;
  if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) return true;
  if (errno != EWOULDBLOCK || !text.resize(kMostText)) return false;
  const ssize_t size = pread(file.get(), text.begin(), kMostText, 0);
  return size > 0 && static_cast<size_t>(size) < kMostText && text.resize(static_cast<size_t>(size));
}

// Whether the addresses on networks that containers share are free, and the networks what they are for the plan.
bool are_networks_free(int claims, const Piece& claim) {
  // A container that shares none goes beside every other.
  if (may_be_beside(claim.data, claim.size, "", 0)) return true;
  Directory names(claims);
  if (!names.valid()) return false;
  List<char> text;
  while (const dirent* entry = names.next()) {
    if (!read_held(claims, entry->d_name, text)) return false;
    if (text.size() > 0 && !may_be_beside(claim.data, claim.size, text.begin(), text.size())) return false;
  }
  return errno == 0;
}

}  // namespace

bool AddressClaim::take(Kept& kept) {
  const Fd folder(open(kept.network, kFolder));
  const Fd lock(openat(folder.get(), "lock", kFile));
  claims_ = Fd(openat(folder.get(), "addresses", kFolder));
  if (!lock.valid() || !claims_.valid()) return false;
  for (int i = 0; i <= kRemovalMs; i++) {
    if (!lock_soon(lock.get()) || !has_ranges(folder.get(), kept.ranges)) return false;
    if (!are_networks_free(claims_.get(), kept.claim)) return false;
    const Taken taken = take_free(kept);
    if (taken != Taken::kSoon) return taken == Taken::kYes;
    flock(lock.get(), LOCK_UN);
    wait_ms();
  }
  return false;
}

AddressClaim::Taken AddressClaim::take_free(Kept& kept) {
  Taken best = Taken::kNo;
  for (size_t i = 0; i < kept.numbers.size(); i++) {
    const Taken taken = take_number(kept, kept.numbers[i].number);
    kept.chosen = i;
    if (taken == Taken::kYes) return taken;
    if (taken == Taken::kSoon) best = taken;
  }
  return best;
}

AddressClaim::Taken AddressClaim::take_number(const Kept& kept, uint32_t number) {
  snprintf(name_, sizeof name_, "%u", number);
  Fd file(openat(claims_.get(), name_, kFile | O_CREAT, 0600));
  struct stat status;
  if (!file.valid() || flock(file.get(), LOCK_EX | LOCK_NB) != 0) return Taken::kNo;
  // Its holder may have removed the file after it was opened.
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink == 0) return Taken::kSoon;
  file_ = std::move(file);
  if (call(SYS_faccessat, AT_FDCWD, Path(kept.in_use).add(name_).text(), 0) != -ENOENT) {
    give_up();
    return Taken::kSoon;
  }
  List<char> text;
  char head[32];
  const int size = snprintf(head, sizeof head, "{\"index\":%u,", number);
  const bool fits = text.add(head, static_cast<size_t>(size)) && text.add(kept.claim.data, kept.claim.size);
  if (fits && ftruncate(file_.get(), 0) == 0 &&
      write(file_.get(), text.begin(), text.size()) == static_cast<ssize_t>(text.size())) {
    return Taken::kYes;
  }
  give_up();
  return Taken::kNo;
}

void AddressClaim::give_up() {
  struct stat status;
  if (!file_.valid()) return;
  // The launcher removes it, too: the name may be that of another claim by now.
  if (fstat(file_.get(), &status) == 0 && status.st_nlink > 0) unlinkat(claims_.get(), name_, 0);
  file_.reset();
}

}  // namespace boxctl
