#include "changes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "../shared/directory.h"
#include "../shared/list.h"
#include "../wire/descriptors.h"
#include "beneath.h"
#include "report.h"
#include "tar.h"

namespace boxctl::image {
namespace {

// The names in a folder, sorted by their bytes.
class Names {
 public:
  // -errno: it cannot be listed.
  long read(int folder) {
    Directory listing(folder);
    if (!listing.valid()) return -errno;
    const dirent* found;
    while ((found = listing.next()) != nullptr) {
      if (!starts_.add(text_.size()) || !text_.add(found->d_name, strlen(found->d_name) + 1)) return -ENOMEM;
    }
    if (errno != 0) return -errno;
    const char* const text = text_.begin();
    std::sort(starts_.begin(), starts_.end(), [text](size_t a, size_t b) { return strcmp(text + a, text + b) < 0; });
    return 0;
  }
  size_t size() const { return starts_.size(); }
  const char* operator[](size_t index) const { return text_.begin() + starts_[index]; }

 private:
  List<char> text_;
  List<size_t> starts_;
};

class Changes {
 public:
  Changes() : out_(fdopen(kOutputFd, "w")) {}
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;

  bool run(int upper, int lower) {
    if (out_ == nullptr) return fail("the list cannot be written", errno);
    return folder(upper, lower, 0, false) && (fflush(out_) == 0 || fail("the list cannot be written", errno));
  }
  const Failure& failure() const { return failure_; }
  const char* path() const { return path_; }

 private:
  bool fail(const char* why, int number) {
    if (!failure_) failure_ = {why, number};
    return false;
  }
  bool tell(char kind) {
    return fprintf(out_, "%c /%s%c", kind, path_, 0) > 0 || fail("the list cannot be written", errno);
  }
  bool enter(size_t length, const char* name) {
    const size_t start = length == 0 ? 0 : length + 1, size = strlen(name);
    if (start + size >= sizeof path_) return fail("a path is too long", ENAMETOOLONG);
    if (length > 0) path_[length] = '/';
    memcpy(path_ + start, name, size + 1);
    return true;
  }

  // Overlay marks of both kinds (kernel: Documentation/filesystems/overlayfs.rst).
  static bool has_mark(int fd, const char* user, const char* trusted) {
    char value;
    return (fgetxattr(fd, user, &value, 1) == 1 && value == 'y') ||
           (fgetxattr(fd, trusted, &value, 1) == 1 && value == 'y');
  }
  static bool is_opaque(int folder) { return has_mark(folder, "user.overlay.opaque", "trusted.overlay.opaque"); }
  // A character device 0:0, or since Linux 6.7 an empty file with a mark.
  static bool is_whiteout(int folder, const char* name, const struct stat& status) {
    if (S_ISCHR(status.st_mode)) return status.st_rdev == 0;
    if (!S_ISREG(status.st_mode) || status.st_size != 0) return false;
    const Fd file(static_cast<int>(open_beneath(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)));
    return file.valid() && (fgetxattr(file.get(), "user.overlay.whiteout", nullptr, 0) >= 0 ||
                            fgetxattr(file.get(), "trusted.overlay.whiteout", nullptr, 0) >= 0);
  }
  static bool is_there(int folder, const char* name, struct stat& status) {
    return folder >= 0 && fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
  }
  static Fd open_folder(int parent, const char* name) {
    constexpr uint64_t kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
    return Fd(static_cast<int>(open_beneath(parent, name, kFlags)));
  }

  // `lower`: the same folder below; negative: there is none. `opaque`: what is there is not seen.
  bool folder(int upper, int lower, size_t length, bool opaque) {
    Names names, hidden;
    if (const long error = names.read(upper); error != 0)
      return fail("a folder cannot be read", static_cast<int>(-error));
    if (opaque && lower >= 0) {
      if (const long error = hidden.read(lower); error != 0) {
        return fail("a folder cannot be read", static_cast<int>(-error));
      }
    }
    size_t gone = 0;
    for (size_t i = 0; i < names.size(); i++) {
      for (; gone < hidden.size() && strcmp(hidden[gone], names[i]) <= 0; gone++) {
        if (strcmp(hidden[gone], names[i]) < 0 && (!enter(length, hidden[gone]) || !tell('D'))) return false;
      }
      if (!enter(length, names[i]) || !entry(upper, lower, names[i])) return false;
      path_[length] = 0;
    }
    for (; gone < hidden.size(); gone++) {
      if (!enter(length, hidden[gone]) || !tell('D')) return false;
    }
    path_[length] = 0;
    return true;
  }

  bool entry(int upper, int lower, const char* name) {
    struct stat status, before;
    // It has gone meanwhile.
    if (!is_there(upper, name, status)) return true;
    const bool existed = is_there(lower, name, before);
    if (is_whiteout(upper, name, status)) return !existed || tell('D');
    if (!tell(existed ? 'C' : 'A')) return false;
    if (!S_ISDIR(status.st_mode)) return true;
    const Fd inner = open_folder(upper, name);
    if (!inner.valid()) return inner.get() == -ENOENT || fail("a folder cannot be opened", -inner.get());
    const Fd below = existed && S_ISDIR(before.st_mode) ? open_folder(lower, name) : Fd();
    return folder(inner.get(), below.get(), strlen(path_), is_opaque(inner.get()));
  }

  FILE* const out_;
  Failure failure_;
  char path_[tar::kMaxPath] = {};
};

}  // namespace

void list_changes(int upper, int lower) {
  signal(SIGPIPE, SIG_IGN);
  static Changes changes;
  if (!changes.run(upper, lower)) {
    report_failure(changes.failure(), changes.path());
    _exit(1);
  }
  Report report;
  report.flag("done");
  report.send();
  _exit(0);
}

}  // namespace boxctl::image
