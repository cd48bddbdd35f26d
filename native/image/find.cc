#include "find.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../shared/syscalls.h"

namespace boxctl::image {
namespace {

// As many as the kernel follows.
constexpr int kMaxLinks = 40;

long open_folder(int root, const char* path) {
  open_how how = {};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long fd;
  // A rename somewhere on the way, for example by somebody who hopes to win a race, makes the kernel ask for a new try.
  int tries = 0;
  do {
    fd = call(kSysOpenat2, root, *path == 0 ? "/" : path, &how, sizeof how);
  } while (fd == -EAGAIN && ++tries < 1000);
  return fd;
}

// There must be room.
void copy_text(char* to, const char* from) { memcpy(to, from, strlen(from) + 1); }

bool is_dots(const char* name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

Failure no_folder(long error) {
  if (error == -ENOENT) return {"the folder that it is to lie in does not exist", ENOENT};
  return {"the folder that it lies in cannot be opened", static_cast<int>(-error)};
}

}  // namespace

Failure find(int root, const char* path, bool follow, Found& found) {
  char text[PATH_MAX];
  if (strlen(path) >= sizeof text) return {"the path is too long", ENAMETOOLONG};
  copy_text(text, path);
  for (int links = 0; links <= kMaxLinks; links++) {
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '/') {
      text[--length] = 0;
      found.must_be_folder = true;
    }
    char* const slash = strrchr(text, '/');
    const char* const name = slash == nullptr ? text : slash + 1;
    if (*name == 0 || is_dots(name)) {
      found.must_be_folder = true;
      found.folder.reset(static_cast<int>(open_folder(root, text)));
      if (!found.folder.valid()) return no_folder(found.folder.get());
      copy_text(found.name, ".");
      found.kind = Kind::kFolder;
      return {};
    }
    if (strlen(name) > NAME_MAX) return {"a name is too long", ENAMETOOLONG};
    copy_text(found.name, name);
    if (slash != nullptr) *slash = 0;
    found.folder.reset(static_cast<int>(open_folder(root, slash == nullptr ? "" : text)));
    if (!found.folder.valid()) return no_folder(found.folder.get());
    struct stat status;
    if (fstatat(found.folder.get(), found.name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      found.kind = Kind::kMissing;
      return errno == ENOENT ? Failure{} : Failure{"it cannot be looked at", errno};
    }
    found.kind = S_ISDIR(status.st_mode) ? Kind::kFolder : Kind::kOther;
    if (!S_ISLNK(status.st_mode) || (!follow && !found.must_be_folder)) return {};
    char target[PATH_MAX], next[2 * PATH_MAX];
    const ssize_t size = readlinkat(found.folder.get(), found.name, target, sizeof target - 1);
    if (size <= 0) return {"a link cannot be read", size < 0 ? errno : ENOENT};
    target[size] = 0;
    if (*target == '/' || slash == nullptr) {
      copy_text(next, target);
    } else {
      snprintf(next, sizeof next, "%s/%s", text, target);
    }
    if (strlen(next) >= sizeof text) return {"the path is too long", ENAMETOOLONG};
    copy_text(text, next);
  }
  return {"there are too many links on the way", ELOOP};
}

}  // namespace boxctl::image
