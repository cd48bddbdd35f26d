#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <algorithm>
#include <iterator>

#include "../shared/directory.h"
#include "beneath.h"
#include "names.h"

namespace boxctl::image {

namespace {

constexpr char kOpaque[] = "user.overlay.opaque";
constexpr char kOpaqueName[] = ".wh..wh..opq";
// Magic numbers that no header of the kernel's has.
constexpr uint32_t kMqueueMagic = 0x19800202, kConfigfsMagic = 0x62656570, kFusectlMagic = 0x65735543;

}  // namespace

bool Pack::fail(const char* why, int number) {
  if (!failure_) failure_ = {why, number};
  return false;
}

bool Pack::leave_out(const char* folder) {
  const size_t at = text_.size();
  return (text_.add(folder, strlen(folder) + 1) && left_out_.add(at)) || fail(kNoMemory, ENOMEM);
}

bool Pack::is_left_out(const char* path) const {
  const char* const text = text_.begin();
  const size_t* const found =
      std::lower_bound(left_out_.begin(), left_out_.end(), path,
                       [text](size_t at, const char* name) { return strcmp(text + at, name) < 0; });
  return found != left_out_.end() && strcmp(text + *found, path) == 0;
}

size_t Pack::place_of(dev_t device, ino_t inode) const {
  const size_t mask = links_.size() - 1;
  size_t at = static_cast<size_t>((inode ^ device) * 0x9e3779b97f4a7c15U >> 20) & mask;
  while (links_[at].path != 0 && (links_[at].inode != inode || links_[at].device != device)) at = (at + 1) & mask;
  return at;
}

bool Pack::grow() {
  List<Linked> old;
  std::swap(old, links_);
  if (!links_.reset(old.size() == 0 ? 256 : old.size() * 2)) return fail(kNoMemory, ENOMEM);
  for (const Linked& link : old) {
    if (link.path != 0) links_[place_of(link.device, link.inode)] = link;
  }
  return true;
}

// The name under which the file was added already; null: this is the first.
bool Pack::first_name(const struct stat& status, const char*& first) {
  first = nullptr;
  if (status.st_nlink < 2 || S_ISDIR(status.st_mode)) return true;
  if (2 * link_count_ >= links_.size() && !grow()) return false;
  Linked& link = links_[place_of(status.st_dev, status.st_ino)];
  if (link.path != 0) {
    first = text_.begin() + (link.path - 1);
    return true;
  }
  link = {status.st_dev, status.st_ino, text_.size() + 1};
  link_count_++;
  return text_.add(path_, strlen(path_) + 1) || fail(kNoMemory, ENOMEM);
}

bool Pack::is_opaque(const char* path) {
  const Fd folder(static_cast<int>(open_beneath(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK)));
  char value;
  return folder.valid() && fgetxattr(folder.get(), kOpaque, &value, 1) == 1 && value == 'y';
}

// An entry of the folder whose path has `folder` bytes.
bool Pack::mark(size_t folder, const char* prefix, const char* name) {
  char path[tar::kMaxPath + 16];
  const int size =
      snprintf(path, sizeof path, "%.*s%s%s%s", static_cast<int>(folder), path_, folder == 0 ? "" : "/", prefix, name);
  if (size < 0 || static_cast<size_t>(size) >= tar::kMaxPath) return fail("a path is too long for a tar", ENAMETOOLONG);
  entries_++;
  return writer_.add_mark(path);
}

// Somebody has taken it away since it was listed.
bool Pack::is_gone(int error) {
  const bool gone = options_.live && (error == ENOENT || error == ENOTDIR || error == ELOOP);
  if (gone) changed_++;
  return gone;
}

// What is in such file systems is made up by the kernel: to read it takes no end, or does something.
bool Pack::is_made_up(int folder, const struct stat& status) {
  if (!options_.live || status.st_dev == device_) return false;
  struct statfs system;
  if (fstatfs(folder, &system) != 0) return false;
  constexpr uint32_t kMadeUp[] = {
      PROC_SUPER_MAGIC, SYSFS_MAGIC,      CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC,  DEBUGFS_MAGIC,
      TRACEFS_MAGIC,    SECURITYFS_MAGIC, BPF_FS_MAGIC,       SELINUX_MAGIC,       EFIVARFS_MAGIC,      BINFMTFS_MAGIC,
      PSTOREFS_MAGIC,   kMqueueMagic,     kConfigfsMagic,     kFusectlMagic,       RDTGROUP_SUPER_MAGIC};
  const auto type = static_cast<uint32_t>(system.f_type);
  return std::find(std::begin(kMadeUp), std::end(kMadeUp), type) != std::end(kMadeUp);
}

bool Pack::entry(size_t length) {
  const Fd file(static_cast<int>(open_beneath(root_, path_, O_PATH | O_NOFOLLOW)));
  if (!file.valid() && is_gone(-file.get())) return true;
  if (!file.valid()) return fail("a file cannot be opened", -file.get());
  struct stat status;
  if (fstat(file.get(), &status) != 0) return fail("a file cannot be read", errno);
  if (options_.layer && S_ISCHR(status.st_mode) && status.st_rdev == 0) {
    const char* const slash = strrchr(path_, '/');
    const size_t folder = slash == nullptr ? 0 : static_cast<size_t>(slash - path_);
    return mark(folder, ".wh.", slash == nullptr ? path_ : slash + 1);
  }
  // A tar has no word for it, and it would lead to nobody.
  if (S_ISSOCK(status.st_mode)) {
    skipped_++;
    return true;
  }
  const char* first;
  if (!first_name(status, first)) return false;
  if (!S_ISDIR(status.st_mode)) {
    entries_++;
    return writer_.add(root_, path_, status, first);
  }
  if (!is_left_out(path_)) {
    entries_++;
    if (!writer_.add(root_, path_, status)) return false;
  }
  if (is_made_up(file.get(), status)) {
    skipped_++;
    return true;
  }
  const dev_t outer = device_;
  device_ = status.st_dev;
  const bool done = folder(length);
  device_ = outer;
  return done;
}

// What is in the folder whose path has so many bytes, and is open to nobody else.
bool Pack::folder(size_t length) {
  if (options_.layer && (length == 0 ? options_.opaque : is_opaque(path_)) && !mark(length, "", kOpaqueName))
    return false;
  return children(length);
}

bool Pack::children(size_t length) {
  List<char> names;
  List<size_t> sorted;
  {
    const char* const path = length == 0 ? "." : path_;
    Directory listing(Fd(static_cast<int>(open_beneath(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))));
    if (!listing.valid() && is_gone(errno)) return true;
    if (!listing.valid()) return fail("a folder cannot be opened", errno);
    const dirent* found;
    while ((found = listing.next()) != nullptr) {
      if (!sorted.add(names.size()) || !names.add(found->d_name, strlen(found->d_name) + 1)) {
        return fail(kNoMemory, ENOMEM);
      }
    }
    if (errno != 0) return fail("a folder cannot be read", errno);
  }
  const char* const text = names.begin();
  std::sort(sorted.begin(), sorted.end(), [text](size_t a, size_t b) { return strcmp(text + a, text + b) < 0; });
  for (const size_t at : sorted) {
    const char* const name = text + at;
    const size_t size = strlen(name), start = length == 0 ? 0 : length + 1;
    if (start + size >= sizeof path_) return fail("a path is too long for a tar", ENAMETOOLONG);
    if (length > 0) path_[length] = '/';
    memcpy(path_ + start, name, size + 1);
    if (!entry(start + size)) return false;
    path_[length] = 0;
  }
  return true;
}

bool Pack::run() {
  const char* const text = text_.begin();
  std::sort(left_out_.begin(), left_out_.end(), [text](size_t a, size_t b) { return strcmp(text + a, text + b) < 0; });
  // The root has no entry: its owner and mode are those of the container's own layer.
  return folder(0) && writer_.end() && writer_.flush();
}

bool Pack::run(const char* name) {
  const Fd top(static_cast<int>(open_beneath(root_, name, O_PATH | O_NOFOLLOW)));
  struct stat status;
  if (!top.valid()) return fail("it cannot be opened", -top.get());
  if (fstat(top.get(), &status) != 0) return fail("it cannot be read", errno);
  if (S_ISSOCK(status.st_mode)) return fail("it is a socket, which cannot be copied", 0);
  if (is_made_up(top.get(), status)) return fail("the kernel makes it up, so that it cannot be copied", 0);
  if (!S_ISDIR(status.st_mode)) {
    const size_t length = strlen(name);
    if (length >= sizeof path_) return fail("a path is too long for a tar", ENAMETOOLONG);
    memcpy(path_, name, length + 1);
    writer_.name_alone();
    return entry(length) && (entries_ > 0 || fail("it is not there any more", 0)) && writer_.end() && writer_.flush();
  }
  if (strcmp(name, ".") != 0) return fail("somebody has put a folder in its place", 0);
  device_ = status.st_dev;
  entries_++;
  return writer_.add(root_, ".", status) && folder(0) && writer_.end() && writer_.flush();
}

}  // namespace boxctl::image
