#include "run_files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "../shared/fd.h"

namespace boxctl {
namespace {

constexpr size_t kIdSize = 12;
constexpr size_t kTimeSize = 13;
// Of document.json in kRunFiles: what the container was started from.
constexpr size_t kDocument = 4;
// container.json, as long as the others are not there.
constexpr char kUnfinished[] = "new";

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

bool has_room(uint32_t at, size_t size, size_t end) { return at <= end && end - at >= size; }

}  // namespace

bool RunFiles::read(const Kept& kept) {
  List<uint8_t> bytes;
  return read_run_files(kept, bytes) && parse(kept, static_cast<List<uint8_t>&&>(bytes));
}

bool RunFiles::parse(const Kept& kept, List<uint8_t>&& bytes) {
  bytes_ = static_cast<List<uint8_t>&&>(bytes);
  Reader in(bytes_.begin(), bytes_.size());
  const auto header = in.take<KeptRunHeader>();
  if (!in.ok() || header.magic != kKeptRunMagic || header.version != kKeptVersion || header.tag != kept.header.tag) {
    return false;
  }
  id_at_ = header.id_at;
  created_at_ = header.created_at;
  count_ = header.files;
  if (count_ == 0 || count_ > kMostRunFiles) return false;
  size_t end = 0;
  for (uint32_t i = 0; i < count_; i++) ends_[i] = end += in.u32();
  texts_ = const_cast<uint8_t*>(in.take(end));
  if (!in.ok() || !read_places(*kept.program, in, header.fills, false, end, places_)) return false;
  Variant chosen;
  for (size_t i = 0; i < kept.numbers.size(); i++) {
    Variant variant;
    if (!read_variant(in, end, variant)) return false;
    if (i == kept.chosen) chosen = variant;
  }
  if (header.numbers != kept.numbers.size() || !in.done()) return false;
  apply(chosen, texts_);
  return has_room(id_at_, kIdSize, ends_[0]) && has_room(created_at_, kTimeSize, ends_[0]);
}

bool RunFiles::is_same_file(int folder, size_t index) const {
  List<uint8_t> text;
  const Fd file(openat(folder, kRunFiles[index], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid() || !text_of(index, text)) return false;
  List<uint8_t> found;
  // One byte more, which must not be there.
  if (!found.resize(text.size() + 1)) return false;
  size_t size = 0;
  while (size < found.size()) {
    const ssize_t got = ::read(file.get(), found.begin() + size, found.size() - size);
    if (got < 0) return false;
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size != text.size()) return false;
  if (index == 0) {
    // Each run has its own of these.
    memcpy(text.begin() + id_at_, found.begin() + id_at_, kIdSize);
    memcpy(text.begin() + created_at_, found.begin() + created_at_, kTimeSize);
  }
  return memcmp(text.begin(), found.begin(), size) == 0;
}

bool RunFiles::is_same(int folder) const {
  return count_ > kDocument && is_same_file(folder, 0) && is_same_file(folder, kDocument);
}

void RunFiles::set_run(const char* id) {
  memcpy(texts_ + id_at_, id, kIdSize);
  put_time(texts_ + created_at_);
}

bool RunFiles::text_of(size_t index, List<uint8_t>& text) const {
  return fill_json(texts_, index == 0 ? 0 : ends_[index - 1], ends_[index], places_, text);
}

bool RunFiles::write_one(int folder, size_t index, const char* name) const {
  List<uint8_t> text;
  return text_of(index, text) && write_file(folder, name, text);
}

bool RunFiles::write(int folder, const char* id) {
  set_run(id);
  for (size_t i = 1; i < count_; i++) {
    if (!write_one(folder, i, kRunFiles[i])) return false;
  }
  return write_one(folder, 0, kUnfinished) && call(SYS_renameat2, folder, kUnfinished, folder, kRunFiles[0], 0) == 0;
}

void remove_run_files(int folder) {
  for (const char* name : kRunFiles) unlinkat(folder, name, 0);
  unlinkat(folder, kUnfinished, 0);
}

Fd make_lock(int folder) {
  Fd lock(openat(folder, kLock, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  return lock.valid() && flock(lock.get(), LOCK_EX | LOCK_NB) == 0 ? static_cast<Fd&&>(lock) : Fd();
}

}  // namespace boxctl
