#include "running.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run_files.h"

namespace boxctl {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

void RunningFolder::make(const Kept& kept) {
  RunFiles files;
  if (!files.read(kept)) return;
  const Fd records(open(kept.records, kFolder));
  if (!records.valid()) return;
  mkdirat(records.get(), "foreground", 0700);
  parent_ = Fd(openat(records.get(), "foreground", kFolder));
  if (!parent_.valid() || mkdirat(parent_.get(), kept.id, 0700) != 0) return;
  memcpy(id_, kept.id, sizeof id_);
  folder_ = Fd(openat(parent_.get(), id_, kFolder));
  if (!folder_.valid()) return;
  lock_ = make_lock(folder_.get());
  if (lock_.valid()) files.write(folder_.get(), id_);
}

void RunningFolder::remove() {
  if (id_[0] == '\0') return;
  if (folder_.valid()) {
    remove_run_files(folder_.get());
    unlinkat(folder_.get(), kLock, 0);
  }
  unlinkat(parent_.get(), id_, AT_REMOVEDIR);
  id_[0] = '\0';
}

}  // namespace boxctl
