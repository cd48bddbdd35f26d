#include "lean_mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <utility>

#include "../shared/syscalls.h"

namespace boxctl {
namespace {

// The same on x86-64 and arm64.
constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE
constexpr char kNamespace[] = "/proc/self/ns/mnt";
constexpr char kStage[] = "mnt";

// The kernel lets a user namespace mount proc and sysfs only where it can see a whole one already. These are the host's
// with what is mounted on them, so that what the host hides there stays hidden.
constexpr const char* kKernels[] = {"proc", "sys"};

Fd new_tmpfs() {
  const Fd made(static_cast<int>(call(kSysFsopen, "tmpfs", FSOPEN_CLOEXEC)));
  if (!made.valid()) return Fd();
  if (call(kSysFsconfig, made.get(), FSCONFIG_SET_STRING, "mode", "755", 0) < 0) return Fd();
  if (call(kSysFsconfig, made.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return Fd();
  const unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  return Fd(static_cast<int>(call(kSysFsmount, made.get(), FSMOUNT_CLOEXEC, attributes)));
}

long clone_into(int root, const char* name) {
  const Fd host(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | kRecursive;
  const Fd tree(static_cast<int>(call(kSysOpenTree, host.get(), name, flags)));
  if (!tree.valid()) return -ENOENT;
  if (const long error = call(SYS_mkdirat, root, name, 0555); error < 0) return error;
  return call(kSysMoveMount, tree.get(), "", root, name, MOVE_MOUNT_F_EMPTY_PATH);
}

// In a mount namespace of our own: replaces all mounts.
long replace_mounts() {
  mount_attr apart = {};
  apart.propagation = MS_PRIVATE;
  long error = call(kSysMountSetattr, AT_FDCWD, "/", kRecursive, &apart, sizeof apart);
  if (error < 0) return error;
  const Fd root = new_tmpfs();
  if (!root.valid()) return -ENODEV;
  // To have something mounted in it, a file system must be attached itself.
  error = call(kSysMoveMount, root.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
  for (const char* name : kKernels) {
    if (error >= 0) error = clone_into(root.get(), name);
  }
  if (error >= 0) error = call(SYS_mkdirat, root.get(), kStage, 0755);
  if (error >= 0) error = call(SYS_fchdir, root.get());
  if (error >= 0) error = call(SYS_pivot_root, ".", ".");
  if (error >= 0) error = call(SYS_umount2, ".", MNT_DETACH);
  // What is in a container's first process could write to the memory that all of them have in common.
  mount_attr fixed = {};
  fixed.attr_set = MOUNT_ATTR_RDONLY;
  fixed.propagation = MS_PRIVATE;
  if (error >= 0) error = call(kSysMountSetattr, AT_FDCWD, "/", 0, &fixed, sizeof fixed);
  fixed = {};
  fixed.propagation = MS_PRIVATE;
  if (error >= 0) error = call(kSysMountSetattr, AT_FDCWD, "/", kRecursive, &fixed, sizeof fixed);
  return error;
}

bool same_root(const struct stat& before) {
  struct stat now;
  return stat("/", &now) == 0 && now.st_dev == before.st_dev && now.st_ino == before.st_ino;
}

}  // namespace

bool LeanMounts::make(int lowest, long& error) {
  error = 0;
  struct stat before;
  const Fd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  Fd host(open(kNamespace, O_RDONLY | O_CLOEXEC));
  if (!root.valid() || !host.valid() || fstat(root.get(), &before) != 0) return false;
  // Whether there is a way back: root of a user namespace may leave a mount namespace that he may not enter.
  if (call(SYS_setns, host.get(), CLONE_NEWNS) < 0) return false;
  if (!same_root(before)) {
    // Somebody has changed the root of this process (chroot(2)), and setns(2) undoes that each time.
    error = call(SYS_fchdir, root.get());
    if (error >= 0) error = call(SYS_chroot, ".");
    return false;
  }
  if (call(SYS_unshare, CLONE_NEWNS) < 0) return false;
  Fd lean(open(kNamespace, O_RDONLY | O_CLOEXEC));
  const bool replaced = lean.valid() && replace_mounts() >= 0;
  // Whatever happened.
  error = call(SYS_setns, host.get(), CLONE_NEWNS);
  if (error < 0 || !replaced) return false;
  host_ = Fd(fcntl(host.get(), F_DUPFD_CLOEXEC, lowest));
  lean_ = Fd(fcntl(lean.get(), F_DUPFD_CLOEXEC, lowest));
  if (host_.valid() && lean_.valid()) return true;
  close();
  return false;
}

long LeanMounts::enter() const {
  const long error = call(SYS_setns, lean_.get(), CLONE_NEWNS);
  return error < 0 ? error : call(SYS_chdir, kStage);
}

long LeanMounts::leave() const { return call(SYS_setns, host_.get(), CLONE_NEWNS); }

void LeanMounts::close() {
  host_.reset();
  lean_.reset();
}

}  // namespace boxctl
