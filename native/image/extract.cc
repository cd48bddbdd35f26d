#include "extract.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../shared/fd.h"
#include "names.h"

namespace boxctl::image {

namespace {

constexpr long kSysOpenat2 = 437;
constexpr size_t kBlock = 512;

Fd open_in(int root, const char* path, uint64_t flags) {
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return Fd(static_cast<int>(call(kSysOpenat2, root, path, &how, sizeof how)));
}

void octal(char* field, size_t size, uint64_t value) {
  for (size_t i = size - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
  field[size - 1] = 0;
}

}  // namespace

bool Extract::fail(const char* why, int number) {
  failure_ = {why, number};
  return false;
}

bool Extract::put(const void* data, size_t size) {
  if (out_ != nullptr && fwrite(data, 1, size, out_) == size) return true;
  return fail("a file of a layer below cannot be written", errno);
}

// "length key=value\n", where the length counts its own digits.
bool Extract::record(const char* key, const void* value, size_t size) {
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

bool Extract::number(const char* key, uint64_t value) {
  char text[24];
  return record(key, text, static_cast<size_t>(snprintf(text, sizeof text, "%llu", 0ULL + value)));
}

bool Extract::time(const struct timespec& time) {
  // Of -1.25 seconds, tv_sec is -2.
  const bool before = time.tv_sec < 0 && time.tv_nsec > 0;
  const long long seconds = time.tv_sec + (before ? 1 : 0);
  const long nanoseconds = before ? 1'000'000'000 - time.tv_nsec : time.tv_nsec;
  const char* const sign = time.tv_sec < 0 ? "-" : "";
  char text[48];
  const int size = snprintf(text, sizeof text, "%s%lld.%09ld", sign, seconds < 0 ? -seconds : seconds, nanoseconds);
  return record("mtime", text, static_cast<size_t>(size));
}

bool Extract::attributes(int file) {
  static char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
  const ssize_t size = flistxattr(file, names, sizeof names);
  if (size < 0) return errno == EOPNOTSUPP || fail("an extended attribute cannot be read", errno);
  for (const char* name = names; name < names + size; name += strlen(name) + 1) {
    if (!keeps_attribute(name)) continue;
    const ssize_t length = fgetxattr(file, name, value, sizeof value);
    if (length < 0) return fail("an extended attribute cannot be read", errno);
    char key[XATTR_NAME_MAX + 16];
    const int wrote = snprintf(key, sizeof key, "SCHILY.xattr.%s", name);
    if (wrote < 0 || static_cast<size_t>(wrote) >= sizeof key) return fail("an extended attribute cannot be kept", 0);
    if (!record(key, value, static_cast<size_t>(length))) return false;
  }
  return true;
}

// A header. All that its fields may be too small for is in the pax header before it.
bool Extract::block(char type, uint32_t mode, uint64_t size, dev_t device) {
  char header[kBlock] = "entry";
  octal(header + 100, 8, mode);
  octal(header + 108, 8, 0);
  octal(header + 116, 8, 0);
  octal(header + 124, 12, size <= 077777777777 ? size : 0);
  octal(header + 136, 12, 0);
  memset(header + 148, ' ', 8);
  header[156] = type;
  constexpr char kMagic[8] = {'u', 's', 't', 'a', 'r', 0, '0', '0'};
  memcpy(header + 257, kMagic, sizeof kMagic);
  octal(header + 329, 8, major(device));
  octal(header + 337, 8, minor(device));
  unsigned sum = 0;
  for (const char byte : header) sum += static_cast<unsigned char>(byte);
  octal(header + 148, 7, sum);
  return put(header, sizeof header);
}

bool Extract::pad(uint64_t size) {
  static constexpr char kZeroes[kBlock] = {};
  return put(kZeroes, static_cast<size_t>(-size % kBlock));
}

bool Extract::data(int file, uint64_t size) {
  static char buffer[1 << 16];
  uint64_t left = size;
  while (left > 0) {
    const ssize_t got = read(file, buffer, left < sizeof buffer ? static_cast<size_t>(left) : sizeof buffer);
    if (got <= 0) return fail("a file of a layer below cannot be read", got < 0 ? errno : EIO);
    if (!put(buffer, static_cast<size_t>(got))) return false;
    left -= static_cast<uint64_t>(got);
  }
  return pad(size);
}

bool Extract::add(const char* path) {
  Fd file = open_in(root_, path, O_PATH);
  if (!file.valid()) {
    const bool missing = file.get() == -ENOENT || file.get() == -ENOTDIR || file.get() == -ELOOP;
    return missing || fail("a file of a layer below cannot be opened", -file.get());
  }
  struct stat status;
  if (fstat(file.get(), &status) != 0) return fail("a file of a layer below cannot be read", errno);
  const bool is_file = S_ISREG(status.st_mode), is_folder = S_ISDIR(status.st_mode);
  const uint64_t size = is_file ? static_cast<uint64_t>(status.st_size) : 0;
  if (size > left_) return fail("the layer's hard links mean more data than an image may have", 0);
  left_ -= size;
  records_.clear();
  if (!record("path", path, strlen(path)) || !number("uid", status.st_uid) || !number("gid", status.st_gid) ||
      !number("size", size) || !time(status.st_mtim)) {
    return false;
  }
  char type = '6';
  if (S_ISLNK(status.st_mode)) {
    type = '2';
    static char target[PATH_MAX];
    const ssize_t length = readlinkat(file.get(), "", target, sizeof target);
    if (length < 0) return fail("a link of a layer below cannot be read", errno);
    if (!record("linkpath", target, static_cast<size_t>(length))) return false;
  } else if (is_file || is_folder) {
    type = is_file ? '0' : '5';
    // The way has no links now: what is opened is what was looked at.
    file = open_in(root_, path, O_RDONLY | O_NONBLOCK | (is_folder ? O_DIRECTORY : 0));
    if (!file.valid()) return fail("a file of a layer below cannot be opened", -file.get());
    if (!attributes(file.get())) return false;
  } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
    type = S_ISCHR(status.st_mode) ? '3' : '4';
  }
  entries_++;
  const uint64_t records = records_.size();
  return block('x', 0600, records, 0) && put(records_.begin(), records_.size()) && pad(records) &&
         block(type, status.st_mode & 07777, size, status.st_rdev) && (!is_file || data(file.get(), size)) &&
         (fflush(out_) == 0 || fail("a file of a layer below cannot be written", errno));
}

}  // namespace boxctl::image
