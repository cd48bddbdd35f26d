#include "tar_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "beneath.h"
#include "names.h"
#include "tar.h"

namespace boxctl::image {

namespace {

constexpr size_t kBlock = 512, kName = 100, kPrefix = 155;
constexpr uint64_t kMaxId = 07777777, kMaxSize = 077777777777;
constexpr char kPaxName[] = "pax";

void octal(char* field, size_t size, uint64_t value) {
  for (size_t i = size - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
  field[size - 1] = 0;
}

}  // namespace

struct TarWriter::Header {
  char type;
  uint32_t mode = 0;
  uint64_t uid = 0, gid = 0, size = 0;
  int64_t mtime = 0;
  dev_t device = 0;
  const char* path = "";
  const char* link = "";
};

bool TarWriter::fail(const char* why, int number) {
  if (!failure_) failure_ = {why, number};
  return false;
}

bool TarWriter::put(const void* data, size_t size) {
  if (out_ != nullptr && fwrite(data, 1, size, out_) == size) return true;
  return fail("the tar cannot be written", errno);
}

bool TarWriter::flush() { return (out_ != nullptr && fflush(out_) == 0) || fail("the tar cannot be written", errno); }

// "length key=value\n", where the length counts its own digits.
bool TarWriter::record(const char* key, const void* value, size_t size) {
  const size_t rest = strlen(key) + size + 3;
  char start[300];
  size_t length = rest + 1;
  while (rest + static_cast<size_t>(snprintf(start, sizeof start, "%zu", length)) != length) length++;
  const int wrote = snprintf(start, sizeof start, "%zu %s=", length, key);
  if (wrote < 0 || static_cast<size_t>(wrote) >= sizeof start) return fail("an extended attribute cannot be kept", 0);
  const bool kept = records_.add(start, static_cast<size_t>(wrote)) &&
                    records_.add(static_cast<const char*>(value), size) && records_.add('\n');
  return kept || fail(kNoMemory, ENOMEM);
}

bool TarWriter::record(const char* key, const char* text) { return record(key, text, strlen(text)); }

// Where the field holds no more than `most`.
bool TarWriter::number(const char* key, uint64_t value, uint64_t most) {
  if (value <= most) return true;
  char text[24];
  return record(key, text, static_cast<size_t>(snprintf(text, sizeof text, "%llu", 0ULL + value)));
}

bool TarWriter::time(const struct timespec& time) {
  if (time.tv_nsec == 0 && time.tv_sec >= 0 && static_cast<uint64_t>(time.tv_sec) <= kMaxSize) return true;
  // Of -1.25 seconds, tv_sec is -2.
  const bool before = time.tv_sec < 0 && time.tv_nsec > 0;
  const long long seconds = time.tv_sec + (before ? 1 : 0);
  const long nanoseconds = before ? 1'000'000'000 - time.tv_nsec : time.tv_nsec;
  const char* const sign = time.tv_sec < 0 ? "-" : "";
  char text[48];
  int size = snprintf(text, sizeof text, "%s%lld.%09ld", sign, seconds < 0 ? -seconds : seconds, nanoseconds);
  while (text[size - 1] == '0') size--;
  if (text[size - 1] == '.') size--;
  return record("mtime", text, static_cast<size_t>(size));
}

// In the order of their names: file systems list them in orders of their own.
bool TarWriter::attributes(int file) {
  static char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
  const ssize_t size = flistxattr(file, names, sizeof names);
  if (size < 0) return errno == EOPNOTSUPP || fail("an extended attribute cannot be read", errno);
  List<const char*> sorted;
  for (const char* name = names; name < names + size; name += strlen(name) + 1) {
    if (keeps_attribute(name) && !sorted.add(name)) return fail(kNoMemory, ENOMEM);
  }
  std::sort(sorted.begin(), sorted.end(), [](const char* a, const char* b) { return strcmp(a, b) < 0; });
  for (const char* name : sorted) {
    const ssize_t length = fgetxattr(file, name, value, sizeof value);
    if (length < 0) return fail("an extended attribute cannot be read", errno);
    char key[XATTR_NAME_MAX + 16];
    const int wrote = snprintf(key, sizeof key, "SCHILY.xattr.%s", name);
    if (wrote < 0 || static_cast<size_t>(wrote) >= sizeof key) return fail("an extended attribute cannot be kept", 0);
    if (!record(key, value, static_cast<size_t>(length))) return false;
  }
  return true;
}

// The path with what comes before it. `whole` has kMaxPath bytes.
bool TarWriter::full_path(const char* path, char* whole) {
  const bool alone = *prefix_ != 0 && (alone_ || strcmp(path, ".") == 0);
  const char* const slash = *prefix_ == 0 || alone ? "" : "/";
  const int size = snprintf(whole, tar::kMaxPath, "%s%s%s", prefix_, slash, alone ? "" : path);
  return (size >= 0 && static_cast<size_t>(size) < tar::kMaxPath) || fail("a path is too long for a tar", ENAMETOOLONG);
}

// Divides a path at a slash into the two fields of ustar. What does not fit is a pax record.
bool TarWriter::name(const char* path, bool folder, char* field, char* prefix) {
  char whole[tar::kMaxPath + 2];
  if (!full_path(path, whole)) return false;
  size_t size = strlen(whole);
  if (folder) {
    whole[size++] = '/';
    whole[size] = '\0';
  }
  const size_t length = size;
  if (length <= kName) {
    memcpy(field, whole, length);
    return true;
  }
  for (size_t at = length - kName - 1; at <= kPrefix && at + 1 < length; at++) {
    if (whole[at] != '/' || at == 0) continue;
    memcpy(prefix, whole, at);
    memcpy(field, whole + at + 1, length - at - 1);
    return true;
  }
  memcpy(field, kPaxName, sizeof kPaxName);
  return record("path", whole);
}

bool TarWriter::block(const Header& header, const char* name, const char* prefix) {
  char bytes[kBlock] = {};
  memcpy(bytes, name, kName);
  octal(bytes + 100, 8, header.mode);
  octal(bytes + 108, 8, header.uid <= kMaxId ? header.uid : 0);
  octal(bytes + 116, 8, header.gid <= kMaxId ? header.gid : 0);
  octal(bytes + 124, 12, header.size <= kMaxSize ? header.size : 0);
  const bool fits = header.mtime >= 0 && static_cast<uint64_t>(header.mtime) <= kMaxSize;
  octal(bytes + 136, 12, fits ? static_cast<uint64_t>(header.mtime) : 0);
  memset(bytes + 148, ' ', 8);
  bytes[156] = header.type;
  memcpy(bytes + 157, header.link, std::min(strlen(header.link), kName));
  constexpr char kMagic[8] = {'u', 's', 't', 'a', 'r', 0, '0', '0'};
  memcpy(bytes + 257, kMagic, sizeof kMagic);
  octal(bytes + 329, 8, major(header.device));
  octal(bytes + 337, 8, minor(header.device));
  memcpy(bytes + 345, prefix, kPrefix);
  unsigned sum = 0;
  for (const char byte : bytes) sum += static_cast<unsigned char>(byte);
  octal(bytes + 148, 7, sum);
  return put(bytes, sizeof bytes);
}

bool TarWriter::entry(const Header& header) {
  char field[kName] = {}, prefix[kPrefix] = {};
  if (!name(header.path, header.type == '5', field, prefix)) return false;
  if (strlen(header.link) > kName && !record("linkpath", header.link)) return false;
  if (!number("uid", header.uid, kMaxId) || !number("gid", header.gid, kMaxId) ||
      !number("size", header.size, kMaxSize)) {
    return false;
  }
  if (const uint64_t size = records_.size(); size > 0) {
    const char pax[kName] = "pax", none[kPrefix] = {};
    Header description = {'x', 0644};
    description.size = size;
    if (!block(description, pax, none) || !put(records_.begin(), size) || !pad(size)) return false;
  }
  return block(header, field, prefix);
}

bool TarWriter::pad(uint64_t size) {
  static constexpr char kZeroes[kBlock] = {};
  return put(kZeroes, static_cast<size_t>(-size % kBlock));
}

bool TarWriter::data(int file, uint64_t size) { return unpadded(file, size) && pad(size); }

bool TarWriter::unpadded(int file, uint64_t size) {
  static char buffer[1 << 18];
  uint64_t left = size;
  while (left > 0) {
    const ssize_t got = read(file, buffer, left < sizeof buffer ? static_cast<size_t>(left) : sizeof buffer);
    if (got == 0 && live_) return cut_short(left);
    if (got <= 0) return fail("a file cannot be read", got < 0 ? errno : EIO);
    if (!put(buffer, static_cast<size_t>(got))) return false;
    left -= static_cast<uint64_t>(got);
  }
  return true;
}

// The header has said how much comes.
bool TarWriter::cut_short(uint64_t left) {
  static constexpr char kZeroes[1 << 16] = {};
  changed_++;
  for (; left > 0; left -= std::min<uint64_t>(left, sizeof kZeroes)) {
    if (!put(kZeroes, static_cast<size_t>(std::min<uint64_t>(left, sizeof kZeroes)))) return false;
  }
  return true;
}

// Where the data of a file with holes lies. No parts: it has no holes worth the map.
bool TarWriter::map_parts(int file, uint64_t size) {
  parts_.clear();
  map_.clear();
  const auto end = static_cast<off_t>(size);
  for (off_t at = 0; at < end;) {
    const off_t data = lseek(file, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    const off_t hole = data < 0 ? -1 : lseek(file, data, SEEK_HOLE);
    if (hole < 0 || parts_.size() == tar::kMaxChunks - 1) {
      parts_.clear();
      return true;
    }
    if (data >= end) break;
    const off_t last = std::min(hole, end);
    if (!parts_.add({static_cast<uint64_t>(data), static_cast<uint64_t>(last - data)})) return fail(kNoMemory, ENOMEM);
    at = hole;
  }
  // The last part says where the file ends.
  if (!parts_.add({size, 0})) return fail(kNoMemory, ENOMEM);
  char line[64];
  const auto add = [&](uint64_t number) {
    const int wrote = snprintf(line, sizeof line, "%llu\n", 0ULL + number);
    return map_.add(line, static_cast<size_t>(wrote)) || fail(kNoMemory, ENOMEM);
  };
  if (!add(parts_.size())) return false;
  for (const tar::Chunk& part : parts_) {
    if (!add(part.offset) || !add(part.size)) return false;
  }
  while (map_.size() % kBlock != 0) {
    if (!map_.add('\0')) return fail(kNoMemory, ENOMEM);
  }
  return true;
}

// `gone`: what was looked at is not there any more, or is another file.
bool TarWriter::open_file(int root, const char* path, const struct stat& status, Fd& file, bool& gone) {
  const int kind = S_ISREG(status.st_mode) ? 0 : O_DIRECTORY;
  const auto flags = static_cast<uint64_t>(O_RDONLY | O_NONBLOCK | O_NOFOLLOW | kind);
  file.reset(static_cast<int>(open_beneath(root, path, flags)));
  const int error = -file.get();
  gone = live_ && (error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO);
  if (gone) return true;
  if (!file.valid()) return fail("a file cannot be opened", error);
  struct stat now;
  if (live_ && fstat(file.get(), &now) != 0) return fail("a file cannot be read", errno);
  gone = live_ && (now.st_dev != status.st_dev || now.st_ino != status.st_ino);
  return true;
}

bool TarWriter::add(int root, const char* path, const struct stat& status, const char* link) {
  records_.clear();
  parts_.clear();
  Header header = {'6', status.st_mode & 07777};
  header.path = path;
  header.uid = status.st_uid;
  header.gid = status.st_gid;
  header.mtime = status.st_mtim.tv_sec;
  if (!time(status.st_mtim)) return false;
  Fd file;
  static char target[PATH_MAX];
  if (link != nullptr) {
    header.type = '1';
    if (!full_path(link, target)) return false;
    header.link = target;
  } else if (S_ISLNK(status.st_mode)) {
    header.type = '2';
    const Fd itself(static_cast<int>(open_beneath(root, path, O_PATH | O_NOFOLLOW)));
    const ssize_t length = itself.valid() ? readlinkat(itself.get(), "", target, sizeof target - 1) : -1;
    if (length <= 0 && live_) return gone();
    if (length < 0) return fail("a link cannot be read", errno);
    target[length] = 0;
    header.link = target;
  } else if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
    header.type = S_ISREG(status.st_mode) ? '0' : '5';
    bool is_gone;
    if (!open_file(root, path, status, file, is_gone)) return false;
    if (is_gone) return gone();
    if (!attributes(file.get())) return false;
    if (S_ISREG(status.st_mode)) header.size = static_cast<uint64_t>(status.st_size);
  } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
    header.type = S_ISCHR(status.st_mode) ? '3' : '4';
    header.device = status.st_rdev;
  }
  const bool holes = header.type == '0' && static_cast<uint64_t>(status.st_blocks) * kBlock < header.size;
  if (live_ && holes && !map_parts(file.get(), header.size)) return false;
  if (parts_.size() > 0) return sparse(header, file.get());
  return entry(header) && (header.type != '0' || data(file.get(), header.size));
}

bool TarWriter::gone() {
  changed_++;
  return true;
}

bool TarWriter::sparse(Header& header, int file) {
  char size[24];
  snprintf(size, sizeof size, "%llu", 0ULL + header.size);
  header.size = map_.size();
  for (const tar::Chunk& part : parts_) header.size += part.size;
  char whole[tar::kMaxPath];
  const bool described = full_path(header.path, whole) && record("GNU.sparse.major", "1") &&
                         record("GNU.sparse.minor", "0") && record("GNU.sparse.name", whole) &&
                         record("GNU.sparse.realsize", size);
  if (!described || !entry(header) || !put(map_.begin(), map_.size())) return false;
  uint64_t total = 0;
  for (const tar::Chunk& part : parts_) {
    if (lseek(file, static_cast<off_t>(part.offset), SEEK_SET) < 0) return fail("a file cannot be read", errno);
    if (!unpadded(file, part.size)) return false;
    total += part.size;
  }
  return pad(total);
}

bool TarWriter::add_mark(const char* path) {
  records_.clear();
  Header header = {'0'};
  header.path = path;
  return entry(header);
}

bool TarWriter::end() {
  static constexpr char kEnd[2 * kBlock] = {};
  return put(kEnd, sizeof kEnd);
}

}  // namespace boxctl::image
