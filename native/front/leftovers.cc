// Whether the next command has something to sweep (src/state/sweep.ts): Node does that.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shared/directory.h"
#include "../shared/fd.h"
#include "kept.h"

namespace boxctl {
namespace {

// Before its mode is this, it may not be locked yet (src/plan/root.ts).
constexpr mode_t kLockedMode = 0777;

bool can_lock(int fd) { return flock(fd, LOCK_EX | LOCK_NB) == 0; }

// A launcher that lives holds the lock of its record. One that has not written its record yet may be about to lock it,
// and must find it unlocked.
bool is_left_record(int folder, const char* name) {
  const Fd file(openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status;
  if (!file.valid()) return errno != ENOENT;
  if (fstat(file.get(), &status) != 0) return true;
  return S_ISREG(status.st_mode) && status.st_size > 0 && can_lock(file.get());
}

bool is_left_layer(int folder, const char* name, int records) {
  if (records >= 0 && call(SYS_faccessat, records, name, 0) == 0) return false;
  const Fd layer(openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  if (!layer.valid() || fstat(layer.get(), &status) != 0) return false;
  return (status.st_mode & 0777) == kLockedMode && can_lock(layer.get());
}

Fd open_folder(const char* path) { return Fd(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)); }

template <typename Look>
bool any(int folder, Look look) {
  if (folder < 0) return false;
  Directory names(folder);
  if (!names.valid()) return true;
  while (const dirent* entry = names.next()) {
    if (look(*entry)) return true;
  }
  return false;
}

}  // namespace

bool is_alive(const Kept& kept) {
  const Fd record(open(kept.record, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return record.valid() && !can_lock(record.get()) && errno == EWOULDBLOCK;
}

bool has_leftovers(const Kept& kept) {
  const Fd layers = open_folder(kept.layers);
  const Fd records = open_folder(kept.records);
  // Layers first: a launcher makes its record before its layer, so a layer that was listed has one, or is left.
  const bool layer =
      any(layers.get(), [&](const dirent& one) { return is_left_layer(layers.get(), one.d_name, records.get()); });
  return layer || any(records.get(), [&](const dirent& one) {
           return one.d_type != DT_DIR && is_left_record(records.get(), one.d_name);
         });
}

}  // namespace boxctl
