#include "owner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "names.h"

namespace boxctl::image {

Failure give_owner(int fd, const char* name, const tar::Entry& entry, const Owners& owners, uint32_t& mode,
                   Losses& losses) {
  constexpr uid_t kSame = static_cast<uid_t>(-1);
  const int flags = *name == 0 ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
  const auto change = [&](uid_t uid, gid_t gid) { return fchownat(fd, name, uid, gid, flags) == 0; };
  if (owners.makers()) {
    mode &= ~static_cast<uint32_t>(S_ISUID | S_ISGID);
    return {};
  }
  // Most files are root's, as they are made; to look costs a fraction of a change.
  struct stat now;
  uint32_t uid = entry.uid, gid = entry.gid;
  const bool squashed = owners.squash(uid, gid, mode);
  if (squashed) losses.squashed++;
  const bool roots = uid == 0 && gid == 0;
  if (roots && fstatat(fd, name, &now, flags) == 0 && now.st_uid == 0 && now.st_gid == 0) return {};
  if (change(uid, gid)) return {};
  if (errno != EINVAL && errno != EPERM) return {"the owner cannot be set", errno};
  if (!squashed) losses.squashed++;
  mode &= ~static_cast<uint32_t>(S_ISUID | S_ISGID);
  if (!change(uid, kSame) && !change(0, kSame)) return {"the owner cannot be set", errno};
  if (!change(kSame, gid) && !change(kSame, 0)) return {"the group cannot be set", errno};
  return {};
}

bool takes_attribute(const char* name, const Owners& owners) {
  // Capabilities set rights as a set-id bit does, and access lists name owners.
  return keeps_attribute(name) && (!owners.makers() || strncmp(name, "user.", 5) == 0);
}

Failure give_attributes(int fd, const tar::Entry& entry, const Owners& owners, Losses& losses) {
  for (size_t i = 0; i < entry.xattr_count; i++) {
    const tar::Xattr& xattr = entry.xattrs[i];
    if (entry.type == tar::Type::kDirectory && strcmp(xattr.name, kDefaultAcl) == 0) continue;
    if (!takes_attribute(xattr.name, owners)) {
      losses.skipped++;
    } else if (const Failure failure = give_attribute(fd, xattr.name, xattr.value, xattr.size, losses); failure) {
      return failure;
    }
  }
  return {};
}

Failure give_attribute(int fd, const char* name, const void* value, size_t size, Losses& losses) {
  if (fsetxattr(fd, name, value, size, 0) == 0) return {};
  if (errno == ENOSPC || errno == EDQUOT || errno == EIO) return {"an extended attribute cannot be set", errno};
  losses.skipped++;
  return {};
}

struct timespec time_of(const tar::Entry& entry) {
  return {static_cast<time_t>(entry.mtime), static_cast<long>(entry.mtime_ns)};
}

}  // namespace boxctl::image
