#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <utility>

#include "../launcher/rmtree.h"
#include "../shared/fd.h"
#include "beneath.h"
#include "fill.h"
#include "late.h"
#include "names.h"
#include "owner.h"
#include "report.h"

namespace boxctl {
namespace {

constexpr char kOpaque[] = "user.overlay.opaque", kOrigin[] = "user.overlay.origin";

using image::open_beneath;

class Unpacker {
 public:
  Unpacker(int root, image::Stage::Tap& tap, const UnpackOptions& options)
      : root_(root),
        options_(options),
        tap_(tap),
        filler_(*tap.stage, tap.stage->add_reader(tap.reader), options.owners),
        reader_({nullptr, this, nullptr, lend}) {}
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  bool run();

  // What walk() calls.
  bool fail(const Failure& failure) {
    result.failure = failure;
    return false;
  }
  bool fail(const char* why, int number = 0) { return fail(Failure{why, number}); }
  bool skip() {
    losses_.skipped++;
    return true;
  }
  uint64_t count() {
    image::entries_done.store(++result.entries, std::memory_order_relaxed);
    return result.entries;
  }
  bool enter(const char* folder);
  bool whiteout(const image::Path& path, image::LayerName kind);
  bool file(const tar::Entry& entry, const image::Path& path);
  bool directory(const tar::Entry& entry, const image::Path& path);
  bool symlink(const tar::Entry& entry, const image::Path& path);
  bool hard_link(const tar::Entry& entry, const image::Path& path);
  bool special(const tar::Entry& entry, const image::Path& path);

  Unpacked result;

 private:
  static ssize_t lend(void* context, const void** bytes);
  bool entries();
  void about(const char* path) { memcpy(result.entry, path, strlen(path) + 1); }
  bool in_layer() const { return options_.walk.whiteouts != image::Whiteouts::kNames; }
  bool make_opaque(int dirfd, const char* name) { return mark(dirfd, name, kOpaque, "y"); }
  bool mark(int dirfd, const char* name, const char* attribute, const char* value);
  bool is_whiteout(int dirfd, const char* name) const;
  bool imply(const char* folder);
  bool want(const image::Path& target);
  void take_back_implied(const char* folder, const char* name);
  long make_folder(int dirfd, const char* name, const char* whole);
  bool clear(const char* name, const tar::Entry& entry);
  bool own(int fd, const char* name, const tar::Entry& entry, uint32_t& mode) {
    const Failure failure = image::give_owner(fd, name, entry, options_.owners, mode, losses_);
    return !failure || fail(failure);
  }
  bool own_made(const char* name, mode_t kind, const tar::Entry& entry, uint32_t& mode) {
    if (!options_.live) return own(parent(), name, entry, mode);
    if (options_.owners.makers()) return true;
    const Fd made = open_made(name, kind);
    return made.valid() && own(made.get(), "", entry, mode);
  }
  Fd open_made(const char* name, mode_t kind);
  Fd open_mounted(const char* name) const;
  bool is_hidden_below(const char* folder) const;
  void drop_hidden_implied();

  int parent() const { return parent_.valid() ? parent_.get() : root_; }
  void forget_parent() {
    parent_.reset();
    parent_path_[0] = 0;
  }

  const int root_;
  const UnpackOptions& options_;
  image::Stage::Tap& tap_;
  uint64_t lent_ = 0;  // of the stream
  image::Filler filler_;
  tar::Reader reader_;
  image::Losses losses_;
  // The folder of the last entry: most entries share it with the one before.
  Fd parent_;
  char parent_path_[tar::kMaxPath] = {};
  image::LateFolders late_folders_;
};

// Opens the folder of an entry, making what is missing of it.
bool Unpacker::enter(const char* folder) {
  if (strcmp(folder, parent_path_) == 0) return true;
  forget_parent();
  if (*folder == 0) return true;
  long fd = open_beneath(root_, folder, O_PATH | O_DIRECTORY);
  if (fd == -ENOENT) {
    char path[tar::kMaxPath];
    memcpy(path, folder, strlen(folder) + 1);
    Fd at;
    for (char* name = path; name != nullptr;) {
      char* const slash = strchr(name, '/');
      if (slash != nullptr) *slash = 0;
      const int from = at.valid() ? at.get() : root_;
      fd = open_beneath(from, name, O_PATH | O_DIRECTORY);
      if (fd == -ENOENT || (fd == -ENOTDIR && is_whiteout(from, name))) {
        fd = make_folder(from, name, path);
        if (fd < 0) return false;
      }
      if (fd < 0) break;
      at.reset(static_cast<int>(fd));
      if (slash != nullptr) *slash = '/';
      name = slash == nullptr ? nullptr : slash + 1;
    }
    if (fd >= 0) fd = at.release();
  }
  if (fd == -ELOOP) return fail("the path leads through a symbolic link of the archive");
  if (fd == -ENOTDIR) return fail("the path leads through something that is not a folder");
  if (fd < 0) return fail("the folder cannot be opened", static_cast<int>(-fd));
  parent_.reset(static_cast<int>(fd));
  memcpy(parent_path_, folder, strlen(folder) + 1);
  return true;
}

// Makes a folder that no entry has named so far. If a whiteout was in its place, the folder is made opaque, so that
// what the layers below have stays hidden. `whole` is its path from the root. Returns a descriptor, or -1 after fail().
long Unpacker::make_folder(int dirfd, const char* name, const char* whole) {
  const bool hides = is_whiteout(dirfd, name);
  if (hides && unlinkat(dirfd, name, 0) != 0) return fail("a folder cannot be made", errno) - 1;
  if (mkdirat(dirfd, name, 0755) != 0) return fail("a folder cannot be made", errno) - 1;
  if (hides ? !make_opaque(dirfd, name) : in_layer() && !imply(whole)) return -1;
  const long fd = open_beneath(dirfd, name, O_PATH | O_DIRECTORY);
  return fd >= 0 ? fd : fail("a folder cannot be opened", static_cast<int>(-fd)) - 1;
}

bool Unpacker::imply(const char* folder) {
  if (result.implied.size() == kMaxImplied) return fail("the layer leaves out more folders than a layer may");
  return result.implied.add(folder) || fail(kNoMemory, ENOMEM);
}

// The target of a hard link is not here.
bool Unpacker::want(const image::Path& target) {
  if (options_.walk.whiteouts != image::Whiteouts::kMarks || !options_.links_below ||
      result.wanted.size() == kMaxWanted) {
    return fail("a hard link leads to nothing that came before it in the archive");
  }
  char whole[tar::kMaxPath + 1];
  image::join(target, whole);
  return result.wanted.add(whole) || fail(kNoMemory, ENOMEM);
}

// An entry that comes later names the folder, or a whiteout hides what the layers below have in its place: then their
// attributes of the folder mean nothing.
void Unpacker::take_back_implied(const char* folder, const char* name) {
  char whole[tar::kMaxPath + 1];
  snprintf(whole, sizeof whole, "%s%s%s", folder, *folder == 0 ? "" : "/", name);
  if (const size_t found = result.implied.find(whole); found < result.implied.size()) result.implied.remove(found);
}

// Overlay's mark of a deleted file (kernel: Documentation/filesystems/overlayfs.rst).
bool Unpacker::is_whiteout(int dirfd, const char* name) const {
  struct stat status;
  return in_layer() && fstatat(dirfd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(status.st_mode) &&
         status.st_rdev == 0;
}

// Gives a folder a mark of overlay's. `opaque` hides what the layers below have in the folder. In a folder that has an
// `origin`, of whatever value, overlay looks for whiteouts even if no other layer has the folder. Without it they would
// be listed as files that cannot be opened.
bool Unpacker::mark(int dirfd, const char* name, const char* attribute, const char* value) {
  const long fd = open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return fail("a folder cannot be opened", static_cast<int>(-fd));
  const Fd folder(static_cast<int>(fd));
  if (fsetxattr(folder.get(), attribute, value, strlen(value), 0) == 0) return true;
  return fail("the file system of the image store keeps no user.* attributes, which layers need", errno);
}

// A layer's entry that deletes something of the layers below; in this layer it deletes nothing.
bool Unpacker::whiteout(const image::Path& path, image::LayerName kind) {
  if (kind == image::LayerName::kBad) return fail("a whiteout names nothing that could be deleted");
  if (options_.walk.whiteouts == image::Whiteouts::kDropped) return true;
  if (kind == image::LayerName::kOpaque) {
    // Overlay does not look for the mark at the root.
    if (*path.folder != 0) return make_opaque(parent(), ".");
    return result.opaque_root = true;
  }
  const char* const hidden = path.name + image::kWhiteoutPrefix;
  if (mknodat(parent(), hidden, S_IFCHR, 0) == 0) return mark(parent(), ".", kOrigin, "");
  if (errno != EEXIST) return fail("the whiteout cannot be made", errno);
  struct stat status;
  if (fstatat(parent(), hidden, &status, AT_SYMLINK_NOFOLLOW) != 0) return fail("the whiteout cannot be made", errno);
  if (!S_ISDIR(status.st_mode)) return true;
  take_back_implied(path.folder, hidden);
  return make_opaque(parent(), hidden);
}

// Makes room for an entry: of two with the same name, the last one wins.
bool Unpacker::clear(const char* name, const tar::Entry& entry) {
  struct stat status;
  const bool plain = entry.type == tar::Type::kFile || entry.type == tar::Type::kSymlink;
  if (options_.live && plain && fstatat(parent(), name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
    const mode_t kind = status.st_mode & S_IFMT;
    if (kind != S_IFREG && kind != S_IFLNK && kind != S_IFDIR) {
      return fail("a device, fifo or socket is in the way, and is not replaced");
    }
  }
  if (unlinkat(parent(), name, 0) == 0) return true;
  if (errno == ENOENT) return true;
  if (options_.live && errno == EISDIR) return fail("a folder is in the way, and is not replaced by a file");
  if (options_.live) return fail("what is there cannot be replaced", errno);
  const long removed = rmtree(parent(), name);
  return removed == 0 || fail("an earlier entry of the same name cannot be replaced", static_cast<int>(-removed));
}

// A file that is a mount of its own, such as a container's /etc/hosts, cannot be removed: it is written anew in its
// place. Not valid: it is no such file.
Fd Unpacker::open_mounted(const char* name) const {
  constexpr uint64_t kFlags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  struct stat status;
  struct statx mount;
  if (statx(parent(), name, AT_SYMLINK_NOFOLLOW, 0, &mount) != 0) return Fd();
  if ((mount.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0 || !S_ISREG(mount.stx_mode)) return Fd();
  Fd file(static_cast<int>(open_beneath(parent(), name, kFlags)));
  const bool same =
      file.valid() && fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == mount.stx_ino;
  return same && ftruncate(file.get(), 0) == 0 ? std::move(file) : Fd();
}

// The file that was made just now, unless somebody has put something else in its place.
Fd Unpacker::open_made(const char* name, mode_t kind) {
  Fd file(static_cast<int>(open_beneath(parent(), name, O_PATH | O_NOFOLLOW)));
  struct stat status;
  if (file.valid() && fstat(file.get(), &status) == 0 && (status.st_mode & S_IFMT) == kind) return file;
  fail("somebody has put something else in its place");
  return Fd();
}

bool Unpacker::file(const tar::Entry& entry, const image::Path& path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const mode_t permissions = entry.mode & 0777;
  Fd fd(openat(parent(), path.name, kFlags, permissions));
  if (!fd.valid() && errno == EEXIST) {
    if (options_.live) fd = open_mounted(path.name);
    if (!fd.valid()) {
      if (!clear(path.name, entry)) return false;
      fd.reset(openat(parent(), path.name, kFlags, permissions));
    }
  }
  if (!fd.valid()) return fail("the file cannot be made", errno);
  result.bytes += reader_.stored_size();
  if (result.bytes > options_.bytes) return fail("the archive has more data than an image may have");
  return filler_.add(std::move(fd), reader_) || fail(kNoMemory, ENOMEM);
}

bool Unpacker::directory(const tar::Entry& entry, const image::Path& path) {
  constexpr uint64_t kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
  long raw = -ENOENT;
  if (*path.name == 0) {
    // O_PATH descriptors take no attributes, so the target is opened anew.
    raw = open_beneath(root_, ".", kFlags);
  } else {
    if (mkdirat(parent(), path.name, 0700) != 0) {
      if (errno != EEXIST) return fail("the folder cannot be made", errno);
      raw = open_beneath(parent(), path.name, kFlags);
      if (raw == -ELOOP || raw == -ENOTDIR) {
        if (options_.live) return fail("a file is in the way, and is not replaced by a folder");
        const bool hides = is_whiteout(parent(), path.name);
        if (!clear(path.name, entry)) return false;
        if (mkdirat(parent(), path.name, 0700) != 0) return fail("the folder cannot be made", errno);
        if (hides && !make_opaque(parent(), path.name)) return false;
        raw = -ENOENT;
      } else if (result.implied.size() > 0) {
        take_back_implied(path.folder, path.name);
      }
    }
    if (raw == -ENOENT) raw = open_beneath(parent(), path.name, kFlags);
  }
  if (raw < 0) return fail("the folder cannot be opened", static_cast<int>(-raw));
  const Fd fd(static_cast<int>(raw));
  if (options_.live && *path.name == 0) return true;
  uint32_t mode = entry.mode;
  if (!own(fd.get(), "", entry, mode)) return false;
  Failure failure = image::give_attributes(fd.get(), entry, options_.owners, losses_);
  if (!failure) failure = late_folders_.add(path, entry, options_.owners, mode);
  return !failure || fail(failure);
}

bool Unpacker::symlink(const tar::Entry& entry, const image::Path& path) {
  const char* const name = path.name;
  if (entry.link[0] == 0) return fail("a symbolic link leads nowhere");
  if (symlinkat(entry.link, parent(), name) != 0) {
    if (errno != EEXIST) return fail("the symbolic link cannot be made", errno);
    if (!clear(name, entry)) return false;
    if (symlinkat(entry.link, parent(), name) != 0) return fail("the symbolic link cannot be made", errno);
  }
  uint32_t mode = 0;
  if (!own_made(name, S_IFLNK, entry, mode)) return false;
  losses_.skipped += entry.xattr_count;
  const struct timespec times[2] = {image::time_of(entry), image::time_of(entry)};
  if (utimensat(parent(), name, times, AT_SYMLINK_NOFOLLOW) != 0) return fail("the time cannot be set", errno);
  return true;
}

bool Unpacker::hard_link(const tar::Entry& entry, const image::Path& path) {
  image::Path target;
  if (!image::normalise(entry.link, target)) return fail("a hard link leads outside of the archive");
  if (options_.walk.top != nullptr && !image::rename_top(target, options_.walk.top)) {
    return fail("the path is too long", ENAMETOOLONG);
  }
  if (*target.name == 0) return fail("a hard link leads to a folder");
  if (strcmp(target.name, path.name) == 0 && strcmp(target.folder, path.folder) == 0) return true;
  Fd folder;
  if (*target.folder != 0) {
    const long fd = open_beneath(root_, target.folder, O_PATH | O_DIRECTORY);
    if (fd == -ELOOP) return fail("a hard link leads through a symbolic link");
    if (fd < 0) return want(target);
    folder.reset(static_cast<int>(fd));
  }
  const int from = folder.valid() ? folder.get() : root_;
  // Without AT_SYMLINK_FOLLOW a link to a symbolic link is a second name of the link itself.
  int made = linkat(from, target.name, parent(), path.name, 0);
  if (made != 0 && errno == EEXIST) {
    if (!clear(path.name, entry)) return false;
    made = linkat(from, target.name, parent(), path.name, 0);
  }
  if (made == 0) return true;
  if (errno == ENOENT) return want(target);
  return fail("the hard link cannot be made", errno);
}

bool Unpacker::special(const tar::Entry& entry, const image::Path& path) {
  const char* const name = path.name;
  mode_t kind = S_IFIFO;
  dev_t device = 0;
  if (entry.type != tar::Type::kFifo) {
    kind = entry.type == tar::Type::kCharacter ? S_IFCHR : S_IFBLK;
    device = makedev(entry.major, entry.minor);
    if (options_.owners.makers()) return skip();
    // Overlay takes the character device 0:0 for the mark of a deleted file.
    if (kind == S_IFCHR && device == 0) {
      losses_.skipped++;
      return true;
    }
  }
  const mode_t born = kind | (options_.live ? entry.mode & 0777 : 0600);
  int made = mknodat(parent(), name, born, device);
  if (made != 0 && errno == EEXIST) {
    if (!clear(name, entry)) return false;
    made = mknodat(parent(), name, born, device);
  }
  if (made != 0) {
    // In a user namespace mknod(2) makes no devices. A container gets its /dev elsewhere.
    if (errno != EPERM || kind == S_IFIFO) return fail("the special file cannot be made", errno);
    losses_.skipped++;
    return true;
  }
  uint32_t mode = entry.mode;
  if (!own_made(name, kind, entry, mode)) return false;
  losses_.skipped += entry.xattr_count;
  // By name, which is safe: it was made just now, and no other process changes the tree.
  if (!options_.live && fchmodat(parent(), name, mode, 0) != 0) return fail("the mode cannot be set", errno);
  const struct timespec times[2] = {image::time_of(entry), image::time_of(entry)};
  if (utimensat(parent(), name, times, AT_SYMLINK_NOFOLLOW) != 0) return fail("the time cannot be set", errno);
  return true;
}

// Whether the folder lies in an opaque one, or is one: then nothing of the layers below is seen there.
bool Unpacker::is_hidden_below(const char* folder) const {
  char path[tar::kMaxPath];
  memcpy(path, folder, strlen(folder) + 1);
  Fd at;
  for (char* name = path;;) {
    char* const slash = strchr(name, '/');
    if (slash != nullptr) *slash = 0;
    at.reset(static_cast<int>(open_beneath(at.valid() ? at.get() : root_, name, O_RDONLY | O_DIRECTORY | O_NONBLOCK)));
    // A later entry has put something else in its place.
    if (!at.valid()) return true;
    char value;
    if (slash == nullptr) return false;
    if (fgetxattr(at.get(), kOpaque, &value, 1) == 1) return true;
    name = slash + 1;
  }
}

// The attributes of implied folders are those of the layers below, but not where these are hidden.
void Unpacker::drop_hidden_implied() {
  for (size_t i = result.implied.size(); i-- > 0;) {
    if (is_hidden_below(result.implied[i])) result.implied.remove(i);
  }
}

// All files whose data begins in the pieces so far were added. The filler is told before the next piece is waited for:
// otherwise the stage would wait for the filler, the filler for more files, and this thread for the stage.
ssize_t Unpacker::lend(void* context, const void** bytes) {
  auto& self = *static_cast<Unpacker*>(context);
  self.filler_.pass(self.lent_);
  const Source source = image::Stage::source(self.tap_);
  const ssize_t got = source.lend(source.context, bytes);
  if (got > 0) self.lent_ += static_cast<uint64_t>(got);
  return got;
}

bool Unpacker::entries() {
  if (const Failure failure = filler_.start(); failure) return fail(failure);
  image::ImageSigns signs;
  const image::Walked walked = image::walk(reader_, options_.walk, signs, *this);
  result.image = !options_.walk.layer() && (signs.complete() || (walked != image::Walked::kEnd && signs.likely()));
  if (walked == image::Walked::kImage) {
    result.stopped = true;
    return fail("the archive holds an image in layers");
  }
  if (walked == image::Walked::kFailed) {
    about(reader_.entry().path);
    return false;
  }
  return reader_.drain() || fail(reader_.failure());
}

bool Unpacker::run() {
  const bool read = entries();
  // What failed there is the cause of what failed here.
  if (read) {
    filler_.finish();
  } else {
    filler_.give_up();
  }
  if (filler_.failure()) {
    about(filler_.entry());
    return fail(filler_.failure());
  }
  if (!read) return false;
  forget_parent();
  drop_hidden_implied();
  if (const Failure failure = late_folders_.finish(root_, losses_); failure) return fail(failure);
  result.squashed = losses_.squashed + filler_.losses().squashed;
  result.skipped = losses_.skipped + filler_.losses().skipped;
  return true;
}

}  // namespace

Unpacked unpack(int dirfd, image::Stage::Tap& tap, const UnpackOptions& options) {
  Unpacker unpacker(dirfd, tap, options);
  unpacker.run();
  return std::move(unpacker.result);
}

}  // namespace boxctl
