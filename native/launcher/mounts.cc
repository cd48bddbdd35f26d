#include "mounts.h"

#include <linux/mount.h>

#include "../shared/fd.h"
#include "../shared/syscalls.h"

namespace boxctl {
namespace {

// The same on x86-64 and arm64.

}  // namespace

long mount_attributes(int dirfd, const char* path, const Call& c, int userns) {
  mount_attr attributes = {};
  attributes.attr_set = c.args[3].number;
  attributes.attr_clr = c.args[4].number;
  attributes.propagation = c.args[5].number;
  attributes.userns_fd = userns < 0 ? 0 : static_cast<uint64_t>(userns);
  return call(kSysMountSetattr, dirfd, path, c.args[2].number, &attributes, sizeof attributes);
}

long configure(int fd, const Call& c, const char* key, const char* value, int aux) {
  const auto command = static_cast<unsigned>(c.args[1].number);
  switch (command) {
    case FSCONFIG_SET_FLAG:
      return call(kSysFsconfig, fd, command, key, nullptr, 0);
    case FSCONFIG_SET_STRING:
      return call(kSysFsconfig, fd, command, key, value, 0);
    case FSCONFIG_SET_FD:
      return call(kSysFsconfig, fd, command, key, nullptr, aux);
    case FSCONFIG_CMD_CREATE:
      return call(kSysFsconfig, fd, command, nullptr, nullptr, 0);
    default:
      return -EINVAL;
  }
}

}  // namespace boxctl
