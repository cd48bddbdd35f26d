#include "network_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "../shared/directory.h"
#include "hosts_text.h"

namespace boxctl {
namespace {

// A longer file is left as it is: it is the container's, and is read into the launcher's memory.
constexpr size_t kMostText = 65'536;
// Memory of this size is a mapping of its own (native/libc/memory.cc), of which nothing stays.
constexpr size_t kPiece = 16'384;
constexpr size_t kMostLines = 4096;  // of one container on one network, in bytes
// Many containers that start or end together change the file once.
constexpr uint64_t kQuietMs = 20;
// The kernel tells that a file is closed before it gives up the lock on it.
constexpr uint64_t kAgainMs = 500;
// IN_CLOSE_WRITE: also when a launcher was killed. Only its own launcher opens a file for writing.
constexpr uint32_t kChanges = IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVED_TO | IN_CLOSE_WRITE;

long read_all(int fd, size_t most, List<char>& text) {
  text.clear();
  for (;;) {
    const size_t size = text.size();
    if (size > most) return -EFBIG;
    if (!text.resize(size + kPiece)) return -ENOMEM;
    const ssize_t got = pread(fd, text.begin() + size, kPiece, static_cast<off_t>(size));
    if (got < 0) return -errno;
    static_cast<void>(text.resize(size + static_cast<size_t>(got)));
    if (got == 0) return 0;
  }
}

bool is_number(const char* name) { return name[strspn(name, "0123456789")] == '\0'; }

long write_all(int fd, const List<char>& text, size_t from) {
  for (size_t at = from; at < text.size();) {
    const ssize_t put = pwrite(fd, text.begin() + at, text.size() - at, static_cast<off_t>(at));
    if (put <= 0) return put == 0 ? -EIO : -errno;
    at += static_cast<size_t>(put);
  }
  return ftruncate(fd, static_cast<off_t>(text.size())) == 0 ? 0 : -errno;
}

}  // namespace

long NetworkNames::follow(int folder, int hosts, const char* own) {
  if (count_ == kMostFolders) return -E2BIG;
  if (strlen(own) >= sizeof own_) return -ENAMETOOLONG;
  if (!hosts_.valid()) {
    hosts_ = Fd(fcntl(hosts, F_DUPFD_CLOEXEC, 0));
    changes_ = Fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!hosts_.valid() || !changes_.valid()) return -errno;
    memcpy(own_, own, strlen(own) + 1);
  }
  Fd kept(fcntl(folder, F_DUPFD_CLOEXEC, 0));
  if (!kept.valid()) return -errno;
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", kept.get());
  if (inotify_add_watch(changes_.get(), path, kChanges | IN_ONLYDIR) < 0) return -errno;
  folders_[count_++] = std::move(kept);
  return update();
}

void NetworkNames::add_sources(Poller& poller) {
  if (!changes_.valid()) return;
  poller.add<&NetworkNames::on_change>(changes_.get(), POLLIN, *this);
  if (waits_) poller.add<&NetworkNames::on_time>(timer_.fd(), POLLIN, *this);
}

// What has happened is of no use: the folders are read anew.
void NetworkNames::on_change(short) {
  char events[4096];
  if (read(changes_.get(), events, sizeof events) <= 0) return;
  if (waits_ && looks_again_) return;
  looks_again_ = true;
  waits_ = timer_.set(kQuietMs);
  if (!waits_) update();
}

void NetworkNames::on_time(short) {
  if (!timer_.expired()) return;
  waits_ = std::exchange(looks_again_, false) && timer_.set(kAgainMs);
  update();
}

// Adds the lines of the folder's other files, of which each is locked as long as its launcher lives.
long NetworkNames::collect(const Fd& folder) {
  Directory all(folder.get());
  if (!all.valid()) return -errno;
  while (const dirent* const entry = all.next()) {
    if (!is_number(entry->d_name) || strcmp(entry->d_name, own_) == 0) continue;
    const Fd file(openat(folder.get(), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    List<char> text;
    // One that has ended, however it did.
    if (!file.valid() || call(SYS_flock, file.get(), LOCK_SH | LOCK_NB) == 0) continue;
    if (read_all(file.get(), kMostLines, text) != 0) continue;
    if (!lines_.add(text.begin(), text.size())) return -ENOMEM;
    if (lines_.size() > kMostText) return -EFBIG;
  }
  return 0;
}

long NetworkNames::update() {
  List<char> text;
  if (const long error = read_all(hosts_.get(), kMostText, text); error != 0) return error;
  lines_.clear();
  for (size_t i = 0; i < count_; i++) {
    if (const long error = collect(folders_[i]); error != 0) return error;
  }
  List<char> fresh;
  size_t from;
  if (!with_hosts(text, lines_, fresh, from)) return -ENOMEM;
  if (fresh.size() == text.size() && memcmp(fresh.begin(), text.begin(), text.size()) == 0) return 0;
  return write_all(hosts_.get(), fresh, from);
}

}  // namespace boxctl
