#include "background.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shared/directory.h"
#include "run_files.h"

namespace boxctl {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kLockFile = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
constexpr size_t kIdSize = 12;

bool is_id(const char* name) { return strlen(name) == kIdSize && strspn(name, "0123456789abcdef") == kIdSize; }

// Whether the container in the folder `id` may have the name. One that is half made or half removed has none.
bool may_be_called(int parent, const char* id, const char* name) {
  // The beginning of what src/state/container-record.ts writes.
  char wanted[512];
  const int head = snprintf(wanted, sizeof wanted, R"({"version":1,"id":"%s","name":")", id);
  const int size = snprintf(wanted + head, sizeof wanted - static_cast<size_t>(head), "%s\"", name) + head;
  char path[32];
  snprintf(path, sizeof path, "%s/%s", id, kRunFiles[0]);
  const Fd file(openat(parent, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) return errno != ENOENT;
  char found[sizeof wanted];
  const ssize_t got = read(file.get(), found, static_cast<size_t>(size));
  if (got < head || memcmp(found, wanted, static_cast<size_t>(head)) != 0) return true;
  return got == size && memcmp(found, wanted, static_cast<size_t>(size)) == 0;
}

// How many containers may have the name, and the id of the last one. -1: they cannot be listed.
int find(int parent, const char* name, char (&id)[kIdSize + 1]) {
  Directory all(parent);
  if (!all.valid()) return -1;
  int count = 0;
  while (const dirent* entry = all.next()) {
    if (!is_id(entry->d_name) || !may_be_called(parent, entry->d_name, name)) continue;
    memcpy(id, entry->d_name, sizeof id);
    count++;
  }
  return errno == 0 ? count : -1;
}

// Whether its launcher has it locked.
bool runs(int folder) {
  const Fd lock(openat(folder, kLock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return lock.valid() && flock(lock.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

// Whether the container is what the plan would make, and has no other limits by now.
bool is_same(int parent, const char* id, const Kept& kept) {
  const Fd folder(openat(parent, id, kFolder));
  if (!folder.valid() || !runs(folder.get())) return false;
  if (call(SYS_faccessat, folder.get(), "limits.json", 0) != -ENOENT) return false;
  RunFiles files;
  return files.read(kept) && files.is_same(folder.get());
}

}  // namespace

Background::Claim Background::claim(const Kept& kept) {
  const Fd records(open(kept.records, kFolder));
  const Fd names(openat(records.get(), "names", kFolder));
  name_ = Fd(openat(names.get(), kept.container, kLockFile, 0600));
  // Whoever has it may do so for long.
  if (!name_.valid() || flock(name_.get(), LOCK_EX | LOCK_NB) != 0) return Claim::kNode;
  parent_ = Fd(open(kept.containers, kFolder));
  names_ = Fd(openat(parent_.get(), kLock, kLockFile, 0600));
  if (!names_.valid() || flock(names_.get(), LOCK_EX) != 0) return Claim::kNode;
  char id[kIdSize + 1] = {};
  const int count = find(parent_.get(), kept.container, id);
  if (count == 0) return Claim::kTaken;
  return count == 1 && kept.leaves_same() && is_same(parent_.get(), id, kept) ? Claim::kSame : Claim::kNode;
}

bool Background::make(const Kept& kept) {
  RunFiles files;
  if (!files.read(kept) || mkdirat(parent_.get(), kept.id, 0700) != 0) return false;
  const Fd folder(openat(parent_.get(), kept.id, kFolder));
  lock_ = folder.valid() ? make_lock(folder.get()) : Fd();
  const bool made = lock_.valid() && files.write(folder.get(), kept.id);
  if (!made) {
    if (folder.valid()) {
      remove_run_files(folder.get());
      unlinkat(folder.get(), kLock, 0);
    }
    unlinkat(parent_.get(), kept.id, AT_REMOVEDIR);
  }
  names_.reset();
  return made;
}

void Background::give_up(const Kept& kept) {
  char removed[32];
  snprintf(removed, sizeof removed, "removed-%s", kept.id);
  call(SYS_renameat2, parent_.get(), kept.id, parent_.get(), removed, 0);
}

}  // namespace boxctl
