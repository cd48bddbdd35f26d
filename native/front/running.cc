#include "running.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fill.h"

namespace boxctl {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr size_t kIdSize = 12;
constexpr size_t kTimeSize = 13;

bool write_file(int folder, const char* name, const List<uint8_t>& content) {
  const uint8_t* bytes = content.begin();
  size_t size = content.size();
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
  const uint8_t* const texts = in.at();
  const size_t record_end = header.record_size;
  const size_t plan_end = record_end + header.plan_size;
  const size_t model_end = plan_end + header.model_size;
  if (header.id_at > record_end || record_end - header.id_at < kIdSize) return;
  if (header.created_at > record_end || record_end - header.created_at < kTimeSize) return;
  auto* const own = const_cast<uint8_t*>(in.take(model_end));
  List<Place> places;
  if (!in.ok() || !read_places(*kept.program, in, header.fills, false, model_end, places) || !in.done()) return;
  memcpy(own + header.id_at, kept.id, kIdSize);
  put_time(own + header.created_at);
  List<uint8_t> record;
  List<uint8_t> plan;
  List<uint8_t> model;
  // container.json has no value of the environment.
  if (!record.add(texts, record_end) || !fill_json(texts, record_end, plan_end, places, plan) ||
      !fill_json(texts, plan_end, model_end, places, model)) {
    return;
  }

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
  if (write_file(folder, "plan.json", plan) && write_file(folder, "model.json", model) &&
      write_file(folder, "new", record)) {
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
