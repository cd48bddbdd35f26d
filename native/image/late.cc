#include "late.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "beneath.h"

namespace boxctl::image {
namespace {

// Of what is kept: more than any honest image has.
constexpr size_t kMaxMemory = size_t{256} << 20;

}  // namespace

Failure LateFolders::add(const Path& path, const tar::Entry& entry, const Owners& owners, uint32_t mode) {
  const tar::Xattr* acl = nullptr;
  for (size_t i = 0; i < entry.xattr_count; i++) {
    if (strcmp(entry.xattrs[i].name, kDefaultAcl) == 0 && takes_attribute(kDefaultAcl, owners)) acl = &entry.xattrs[i];
  }
  char whole[tar::kMaxPath + 1];
  join(path, whole);
  Folder folder = {text_.size(), mode, time_of(entry), 0, 0, acl != nullptr};
  const char* const text = *whole == 0 ? "." : whole;
  if (!text_.add(text, strlen(text) + 1)) return {kNoMemory, ENOMEM};
  if (acl != nullptr) {
    folder.acl = text_.size();
    folder.acl_size = acl->size;
    if (!text_.add(acl->value, acl->size)) return {kNoMemory, ENOMEM};
  }
  if (!folders_.add(folder)) return {kNoMemory, ENOMEM};
  if (text_.size() + folders_.size() * sizeof(Folder) > kMaxMemory) {
    return {"the archive has more folders than an image may have"};
  }
  return {};
}

Failure LateFolders::finish(int root, Losses& losses) const {
  for (const Folder& folder : folders_) {
    const char* const path = text_.begin() + folder.path;
    const long opened = open_beneath(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
    // A later entry has put something else in its place.
    if (opened == -ENOENT || opened == -ENOTDIR || opened == -ELOOP) continue;
    if (opened < 0) return {"a folder cannot be opened", static_cast<int>(-opened)};
    const Fd fd(static_cast<int>(opened));
    if (folder.has_acl) {
      const char* const acl = text_.begin() + folder.acl;
      if (const Failure failure = give_attribute(fd.get(), kDefaultAcl, acl, folder.acl_size, losses); failure) {
        return failure;
      }
    }
    const struct timespec times[2] = {folder.time, folder.time};
    if (fchmod(fd.get(), folder.mode) != 0 || futimens(fd.get(), times) != 0) {
      return {"the mode of a folder cannot be set", errno};
    }
  }
  return {};
}

}  // namespace boxctl::image
