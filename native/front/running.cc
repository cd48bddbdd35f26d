#include "running.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace boxctl {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr size_t kIdSize = 12;
constexpr size_t kTimeSize = 13;

bool write_file(int folder, const char* name, const uint8_t* bytes, size_t size) {
  const Fd file(openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  while (file.valid() && size > 0) {
    const ssize_t wrote = write(file.get(), bytes, size);
    if (wrote <= 0) return false;
    bytes += wrote;
    size -= static_cast<size_t>(wrote);
  }
  return file.valid();
}

void put_time(uint8_t* at) {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  auto left = static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
  for (size_t i = kTimeSize; i-- > 0; left /= 10) at[i] = static_cast<uint8_t>('0' + left % 10);
}

}  // namespace

void RunningFolder::make(const Kept& kept) {
  List<uint8_t> bytes;
  if (!read_run_files(kept, bytes)) return;
  Reader in(bytes.begin(), bytes.size());
  const auto header = in.take<KeptRunHeader>();
  if (!in.ok() || header.magic != kKeptRunMagic || header.version != kKeptVersion || header.tag != kept.header.tag) {
    return;
  }
  const uint8_t* const record = in.take(header.record_size);
  const uint8_t* const plan = in.take(header.plan_size);
  const uint8_t* const model = in.take(header.model_size);
  if (!in.ok() || !in.done()) return;
  if (header.id_at > header.record_size || header.record_size - header.id_at < kIdSize) return;
  if (header.created_at > header.record_size || header.record_size - header.created_at < kTimeSize) return;
  auto* const text = const_cast<uint8_t*>(record);
  memcpy(text + header.id_at, kept.id, kIdSize);
  put_time(text + header.created_at);

  const Fd records(open(kept.records, kFolder));
  if (!records.valid()) return;
  mkdirat(records.get(), "foreground", 0700);
  parent_ = Fd(openat(records.get(), "foreground", kFolder));
  if (!parent_.valid() || mkdirat(parent_.get(), kept.id, 0700) != 0) return;
  memcpy(id_, kept.id, kIdSize);
  folder_ = Fd(openat(parent_.get(), id_, kFolder));
  if (!folder_.valid()) return;
  lock_ = Fd(openat(folder_.get(), "lock", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_.valid() || flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) return;
  const int folder = folder_.get();
  // The last one is what others look for: it comes whole, after the others.
  if (write_file(folder, "plan.json", plan, header.plan_size) &&
      write_file(folder, "model.json", model, header.model_size) &&
      write_file(folder, "new", record, header.record_size)) {
    call(SYS_renameat2, folder, "new", folder, "container.json", 0);
  }
}

void RunningFolder::remove() {
  if (id_[0] == '\0') return;
  for (const char* name : {"container.json", "plan.json", "model.json", "new", "lock"}) {
    if (folder_.valid()) unlinkat(folder_.get(), name, 0);
  }
  unlinkat(parent_.get(), id_, AT_REMOVEDIR);
  id_[0] = '\0';
}

}  // namespace boxctl
