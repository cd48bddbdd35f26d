#include "calls.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "bpf.h"
#include "copytree.h"
#include "image_call.h"
#include "reaper.h"
#include "rmtree.h"
#include "systemd.h"
#include "userns.h"

namespace boxctl {
namespace {

// Numbers of calls that are newer than the oldest headers that boxctl is built with; the same on x86-64 and arm64.
constexpr long kSysOpenTree = 428, kSysMoveMount = 429, kSysFsopen = 430, kSysFsconfig = 431, kSysFsmount = 432,
               kSysClone3 = 435, kSysCloseRange = 436, kSysOpenat2 = 437, kSysMountSetattr = 442,
               kSysLandlockCreateRuleset = 444, kSysLandlockRestrictSelf = 446;

// Where texts with `$ID`, `$CHILD`, `$OWNER` or `$FD(slot)` are completed. No call has more than four.
class Texts {
 public:
  explicit Texts(const Context& context) : context_(context) {}

  // Null when the completed text does not fit.
  const char* complete(const Text& text) {
    if (!text.is_template) return text.data;
    if (used_ == sizeof buffers_ / sizeof *buffers_) return nullptr;
    char* const out = buffers_[used_++];
    char* at = out;
    const char* const end = out + sizeof *buffers_ - 1;
    for (const char* from = text.data; *from != '\0';) {
      if (strncmp(from, "$ID", 3) == 0) {
        at += snprintf(at, static_cast<size_t>(end - at), "%s", context_.id);
        from += 3;
      } else if (strncmp(from, "$CHILD", 6) == 0) {
        at += snprintf(at, static_cast<size_t>(end - at), "%d", static_cast<int>(context_.child));
        from += 6;
      } else if (strncmp(from, "$OWNER", 6) == 0) {
        at += snprintf(at, static_cast<size_t>(end - at), "%d", static_cast<int>(getppid()));
        from += 6;
      } else if (strncmp(from, "$FD(", 4) == 0) {
        char* rest = nullptr;
        const unsigned long slot = strtoul(from + 4, &rest, 10);
        if (*rest != ')' || slot >= context_.slot_count || context_.slots[slot] < 0) return nullptr;
        at += snprintf(at, static_cast<size_t>(end - at), "%d", context_.slots[slot]);
        from = rest + 1;
      } else {
        *at++ = *from++;
      }
      if (at >= end) return nullptr;
    }
    *at = '\0';
    return out;
  }

 private:
  const Context& context_;
  unsigned used_ = 0;
  char buffers_[4][4096];
};

// A NULL-terminated array of strings, as execve(2) wants it.
class StringArray {
 public:
  StringArray(const Context& context, const Arg& arg)
      : entries_(static_cast<char**>(calloc(arg.number + 1, sizeof(char*)))) {
    if (entries_ == nullptr) return;
    Reader in(arg.list, arg.list_size);
    for (uint64_t i = 0; i < arg.number; i++) {
      const Text text = read_text(in);
      Texts texts(context);
      const char* complete = texts.complete(text);
      entries_[i] = strdup(complete == nullptr ? "" : complete);
      if (entries_[i] == nullptr || complete == nullptr) failed_ = true;
    }
  }
  ~StringArray() {
    for (char** at = entries_; at != nullptr && *at != nullptr; at++) free(*at);
    free(entries_);
  }
  StringArray(const StringArray&) = delete;
  StringArray& operator=(const StringArray&) = delete;
  bool ok() const { return entries_ != nullptr && !failed_; }
  char** get() const { return entries_; }

 private:
  char** entries_;
  bool failed_ = false;
};

// The wire carries x86-64's numbers; two of them differ on arm64.
uint64_t open_flags(uint64_t flags) {
  constexpr uint64_t kDirectory = 0200000, kNofollow = 0400000;
  uint64_t own = flags & ~(kDirectory | kNofollow);
  if (flags & kDirectory) own |= O_DIRECTORY;
  if (flags & kNofollow) own |= O_NOFOLLOW;
  return own;
}

long open_at(int dirfd, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  // Nothing may be inherited by accident: a descriptor that is not close-on-exec is a mistake of the planner.
  if (!(flags & O_CLOEXEC)) return -EINVAL;
  open_how how = {};
  how.flags = open_flags(flags);
  how.mode = mode;
  how.resolve = resolve;
  return call(kSysOpenat2, dirfd, path, &how, sizeof how);
}

long write_all(int fd, const char* data, size_t size) {
  const long written = negate(write(fd, data, size));
  if (written < 0) return written;
  // Files of /proc and cgroups take a value in one call or not at all.
  return static_cast<size_t>(written) == size ? 0 : -EIO;
}

long write_file(int dirfd, const char* path, const char* data) {
  if (*path == '\0') return write_all(dirfd, data, strlen(data));
  const Fd file(static_cast<int>(open_at(dirfd, path, O_WRONLY | O_CLOEXEC, 0, 0)));
  if (!file.valid()) return file.get() == -1 ? -errno : file.get();
  return write_all(file.get(), data, strlen(data));
}

// Some files of cgroups take less than they were told, without a word: what they say afterwards is what holds.
long expect(int dirfd, const char* path, const char* data) {
  const Fd file(static_cast<int>(open_at(dirfd, path, O_RDONLY | O_CLOEXEC, 0, 0)));
  if (!file.valid()) return file.get() == -1 ? -errno : file.get();
  const char* at = data;
  bool ended = false;  // with the line
  for (;;) {
    char text[4096];
    const long size = negate(read(file.get(), text, sizeof text));
    if (size < 0) return size;
    if (size == 0) return ended ? 0 : -ERANGE;
    for (long i = 0; i < size; i++) {
      if (ended || text[i] != (*at == '\0' ? '\n' : *at)) return -ERANGE;
      if (*at == '\0')
        ended = true;
      else
        at++;
    }
  }
}

// CVE-2024-21626: a directory that lies outside of the root has no path, and must not become the working directory.
long inside_root() {
  char path[4096];
  const long size = call(SYS_getcwd, path, sizeof path);
  if (size < 0) return size;
  return path[0] == '/' ? 0 : -EXDEV;
}

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

long clone_process(Context& context, const Call& c, int cgroup) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return -errno;
  Fd ours(sockets[0]);
  Fd theirs(sockets[1]);
  int pidfd = -1;
  clone_args args = {};
  args.flags = c.args[0].number | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = c.args[1].number;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup);
  }
  const long pid = call(kSysClone3, &args, sizeof args);
  if (pid < 0) return pid;
  context.child = static_cast<pid_t>(pid);
  context.peer = pid == 0 ? std::move(theirs) : std::move(ours);
  return pid == 0 ? 0 : pidfd;
}

long set_groups(const Arg& list) {
  Reader in(list.list, list.list_size);
  auto* groups = static_cast<gid_t*>(calloc(list.number + 1, sizeof(gid_t)));
  if (groups == nullptr) return -ENOMEM;
  for (uint64_t i = 0; i < list.number; i++) groups[i] = in.u32();
  const long result = call(SYS_setgroups, list.number, groups);
  free(groups);
  return result;
}

long set_capabilities(const Call& c) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; half++) {
    data[half].effective = static_cast<uint32_t>(c.args[0].number >> 32 * half);
    data[half].permitted = static_cast<uint32_t>(c.args[1].number >> 32 * half);
    data[half].inheritable = static_cast<uint32_t>(c.args[2].number >> 32 * half);
  }
  return call(SYS_capset, &header, data);
}

long install_filter(const Call& c) {
  const size_t size = c.args[2].list_size;
  if (size == 0 || size % sizeof(sock_filter) != 0 || size / sizeof(sock_filter) > BPF_MAXINSNS) return -EINVAL;
  sock_fprog program = {};
  program.len = static_cast<unsigned short>(size / sizeof(sock_filter));
  program.filter = reinterpret_cast<sock_filter*>(const_cast<uint8_t*>(c.args[2].list));
  return call(SYS_seccomp, c.args[0].number, c.args[1].number, &program);
}

long control_device(int fd, unsigned long request, const char* name, uint64_t value) {
  if (request == SIOCSIFFLAGS) {
    ifreq interface = {};
    if (strlen(name) >= sizeof interface.ifr_name) return -ENAMETOOLONG;
    memcpy(interface.ifr_name, name, strlen(name) + 1);
    interface.ifr_flags = static_cast<short>(value);
    return negate(ioctl(fd, request, &interface));
  }
  if (request == TIOCSPTLCK) {
    int lock = static_cast<int>(value);
    return negate(ioctl(fd, request, &lock));
  }
  return negate(ioctl(fd, request, value));
}

long execute(const Context& context, const Call& c, uint32_t& detail) {
  const StringArray paths(context, c.args[0]);
  const StringArray argv(context, c.args[1]);
  const StringArray envp(context, c.args[2]);
  if (!paths.ok() || !argv.ok() || !envp.ok()) return -ENOMEM;
  long failure = -ENOENT;
  for (uint32_t i = 0; i < c.args[0].number; i++) {
    const long error = call(SYS_execve, paths.get()[i], argv.get(), envp.get());
    if (failure == -ENOENT || error == -EACCES) {
      failure = error;
      detail = i;
    }
    if (error != -ENOENT && error != -ENOTDIR && error != -EACCES) break;
  }
  return failure;
}

long is_device(int fd, uint64_t type, uint64_t major_number, uint64_t minor_number) {
  struct stat status;
  if (fstat(fd, &status) != 0) return -errno;
  const bool same = (status.st_mode & S_IFMT) == type && major(status.st_rdev) == major_number &&
                    minor(status.st_rdev) == minor_number;
  return same ? 0 : -ENODEV;
}

long is_same_place(int fd, int other) {
  struct statx one, two;
  constexpr unsigned kMask = STATX_INO | STATX_MNT_ID;
  const long first = call(SYS_statx, fd, "", AT_EMPTY_PATH, kMask, &one);
  if (first < 0) return first;
  const long second = call(SYS_statx, other, "", AT_EMPTY_PATH, kMask, &two);
  if (second < 0) return second;
  // Linux 5.8. An older kernel has not said which mounts these are, and so has not said that they are the same.
  if (!(one.stx_mask & two.stx_mask & STATX_MNT_ID)) return -ENOSYS;
  return one.stx_mnt_id == two.stx_mnt_id && one.stx_ino == two.stx_ino ? 0 : -EXDEV;
}

long run_helper(const Context& context, const char* path, const Arg& list, uint32_t& detail) {
  const StringArray argv(context, list);
  if (!argv.ok()) return -ENOMEM;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  char* environment[] = {nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, path, nullptr, &attributes, argv.get(), environment);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return -error;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  detail = static_cast<uint32_t>(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return detail == 0 ? 0 : -EPERM;
}

// As src/image/identity.ts spells it: ctime cannot be set back by who writes the file.
long is_same_file(int fd, const char* identity) {
  struct stat status;
  if (fstat(fd, &status) != 0) return -errno;
  const auto nanoseconds = [](const timespec& time) {
    return static_cast<long long>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  };
  char own[128];
  snprintf(own, sizeof own, "%llu %llu %lld %lld %lld", static_cast<unsigned long long>(status.st_dev),
           static_cast<unsigned long long>(status.st_ino), static_cast<long long>(status.st_size),
           nanoseconds(status.st_mtim), nanoseconds(status.st_ctim));
  return strcmp(own, identity) == 0 ? 0 : -ESTALE;
}

// A free loop device over a file, read-only, in blocks of 512 bytes, which is given up with its last use (loop(4)).
long attach_loop(int file) {
  const Fd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) return -errno;
  loop_config config = {};
  config.fd = static_cast<uint32_t>(file);
  config.block_size = 512;
  config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
  // Another process may take the same free one first.
  for (int attempt = 0; attempt < 64; attempt++) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return -errno;
    char path[32];
    snprintf(path, sizeof path, "/dev/loop%d", number);
    Fd device(open(path, O_RDONLY | O_CLOEXEC));
    if (!device.valid()) return -errno;
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return device.release();
    if (errno != EBUSY) return -errno;
  }
  return -EBUSY;
}

// What a container has written belongs to ids that its maker has only in its user namespace.
long remove_tree(int dirfd, const char* path, int userns) {
  if (userns < 0) return -static_cast<long>(rmtree(dirfd, path));
  const pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) {
    // With every right over what the namespace has, and still with the caller's own ids over what is the caller's.
    if (setns(userns, CLONE_NEWUSER) != 0) _exit(errno);
    _exit(rmtree(dirfd, path));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

// A cgroup whose processes are still ending is busy for a moment; one with processes that got away is emptied first.
long remove_directory(int dirfd, const char* path) {
  for (int attempt = 0;; attempt++) {
    const long result = call(SYS_unlinkat, dirfd, path, AT_REMOVEDIR);
    if (result != -EBUSY || attempt == 2000) return result;
    kill_members(dirfd, path);
    usleep(1000);
  }
}

long move_fd(int from, int to, uint64_t flags) {
  // dup3 refuses equal numbers, and here they would mean that the descriptor is where it should be.
  return from == to ? 0 : call(SYS_dup3, from, to, flags);
}

bool takes_fd(const Call& c, size_t index) { return signature(c.op)[index] == 'f'; }

// The descriptor behind an argument: a slot, the working directory, or none (-1).
int descriptor(const Context& context, const Arg& arg) {
  if (arg.number == kCwd) return AT_FDCWD;
  if (arg.number >= context.slot_count) return -1;
  return context.slots[arg.number];
}

long dispatch(Context& context, const Call& c, uint32_t& detail) {
  int fds[kMaxArgs] = {};
  const char* texts[kMaxArgs] = {"", "", "", "", "", "", "", ""};
  Texts completed(context);
  for (size_t i = 0; i < c.count; i++) {
    if (takes_fd(c, i)) fds[i] = descriptor(context, c.args[i]);
    texts[i] = completed.complete(c.args[i].text);
    if (texts[i] == nullptr) return -ENAMETOOLONG;
  }
  const auto n = [&c](size_t i) { return c.args[i].number; };

  switch (c.op) {
    case Op::kOpenat2:
      return open_at(fds[0], texts[1], n(2), n(3), n(4));
    case Op::kClose:
      // The slot is closed after the call, as at any last use.
      return 0;
    case Op::kMkdirat:
      return call(SYS_mkdirat, fds[0], texts[1], n(2));
    case Op::kMknodat:
      return call(SYS_mknodat, fds[0], texts[1], n(2),
                  makedev(static_cast<unsigned>(n(3)), static_cast<unsigned>(n(4))));
    case Op::kSymlinkat:
      return call(SYS_symlinkat, texts[0], fds[1], texts[2]);
    case Op::kFchownat:
      return call(SYS_fchownat, fds[0], texts[1], n(2), n(3), n(4));
    case Op::kWrite:
      return write_file(fds[0], texts[1], texts[2]);
    case Op::kRead:
      return expect(fds[0], texts[1], texts[2]);
    case Op::kUnlinkat:
      return n(2) & AT_REMOVEDIR && !c.tolerates(EBUSY) ? remove_directory(fds[0], texts[1])
                                                        : call(SYS_unlinkat, fds[0], texts[1], n(2));
    case Op::kFlock:
      return call(SYS_flock, fds[0], n(1));
    case Op::kOpenTree:
      if (!(n(2) & OPEN_TREE_CLOEXEC)) return -EINVAL;
      return call(kSysOpenTree, fds[0], texts[1], n(2));
    case Op::kMoveMount:
      return call(kSysMoveMount, fds[0], texts[1], fds[2], texts[3], n(4));
    case Op::kMountSetattr:
      return mount_attributes(fds[0], texts[1], c, fds[6]);
    case Op::kFsopen:
      return call(kSysFsopen, texts[0], n(1) | FSOPEN_CLOEXEC);
    case Op::kFsconfig:
      return configure(fds[0], c, texts[2], texts[3], fds[4]);
    case Op::kFsmount:
      return call(kSysFsmount, fds[0], n(1) | FSMOUNT_CLOEXEC, n(2));
    case Op::kPivotRoot:
      return call(SYS_pivot_root, texts[0], texts[1]);
    case Op::kUmount2:
      return call(SYS_umount2, texts[0], n(1));
    case Op::kFchdir: {
      const long result = call(SYS_fchdir, fds[0]);
      return result < 0 ? result : inside_root();
    }
    case Op::kChdir: {
      const long result = call(SYS_chdir, texts[0]);
      return result < 0 ? result : inside_root();
    }
    case Op::kClone3:
      return clone_process(context, c, fds[2]);
    case Op::kUnshare:
      return call(SYS_unshare, n(0));
    case Op::kSetns:
      return call(SYS_setns, fds[0], n(1));
    case Op::kSethostname:
      return call(SYS_sethostname, texts[0], strlen(texts[0]));
    case Op::kSetdomainname:
      return call(SYS_setdomainname, texts[0], strlen(texts[0]));
    case Op::kSetsid:
      return call(SYS_setsid);
    case Op::kSetgroups:
      return set_groups(c.args[0]);
    case Op::kSetresgid:
      return call(SYS_setresgid, n(0), n(1), n(2));
    case Op::kSetresuid:
      return call(SYS_setresuid, n(0), n(1), n(2));
    case Op::kPrctl:
      return call(SYS_prctl, n(0), n(1), n(2), n(3), n(4));
    case Op::kCapset:
      return set_capabilities(c);
    case Op::kLandlockCreateRuleset: {
      // struct landlock_ruleset_attr of Linux 6.12; an older kernel refuses what it does not know of it (E2BIG).
      const uint64_t ruleset[] = {n(0), n(1), n(2)};
      return call(kSysLandlockCreateRuleset, ruleset, sizeof ruleset, 0);
    }
    case Op::kLandlockRestrictSelf:
      return call(kSysLandlockRestrictSelf, fds[0], n(1));
    case Op::kSeccomp:
    case Op::kSeccompListener:
      return install_filter(c);
    case Op::kPrlimit64: {
      const rlimit64 limit = {n(2), n(3)};
      return call(SYS_prlimit64, strtol(texts[0], nullptr, 10), n(1), &limit, nullptr);
    }
    case Op::kIoctl:
      return control_device(fds[0], n(1), texts[2], n(3));
    case Op::kIoctlTiocgptpeer:
      return negate(ioctl(fds[0], TIOCGPTPEER, open_flags(n(1)) | O_CLOEXEC));
    case Op::kSocket:
      return call(SYS_socket, n(0), n(1) | SOCK_CLOEXEC, n(2));
    case Op::kDup3:
      return move_fd(fds[0], static_cast<int>(n(1)), n(2));
    case Op::kCloseRange:
      return call(kSysCloseRange, static_cast<unsigned>(n(0)), static_cast<unsigned>(n(1)), n(2));
    case Op::kExecve:
      return execute(context, c, detail);
    case Op::kSendmsg: {
      Handover message;
      message.kind = n(1) == kListenerFlags ? kListener : kDescriptor;
      return send_handover(context.peer.get(), message, fds[0], static_cast<int>(n(1)));
    }
    case Op::kRecvmsg:
      return context.received.valid() ? context.received.release() : -EBADMSG;
    case Op::kUmask:
      return call(SYS_umask, n(0)) & 0;
    case Op::kKeyctl:
      return call(SYS_keyctl, n(0), nullptr) < 0 ? -errno : 0;
    case Op::kFstat:
      return is_device(fds[0], n(1), n(2), n(3));
    case Op::kPosixSpawn:
      return run_helper(context, texts[0], c.args[1], detail);
    case Op::kFork:
      return become_reaper(context);
    case Op::kRmtree:
      return remove_tree(fds[0], texts[1], fds[2]);
    case Op::kStartTransientUnit:
      return start_transient_scope(texts[0], texts[1], texts[2]);
    case Op::kStatx:
      return is_same_place(fds[0], fds[1]);
    case Op::kUserns:
      return make_user_namespace(texts[0], texts[1]);
    case Op::kCopytree:
      return -static_cast<long>(copytree(fds[0], fds[1]));
    case Op::kFcntl:
      // With a lease the signal of its breaking goes to the process that took it.
      return n(1) == F_SETLEASE ? negate(fcntl(fds[0], F_SETLEASE, static_cast<int>(n(2)))) : -EINVAL;
    case Op::kFstatIdentity:
      return is_same_file(fds[0], texts[1]);
    case Op::kLoopConfigure:
      return attach_loop(fds[0]);
    case Op::kFchmodat:
      return call(SYS_fchmodat, fds[0], texts[1], n(2));
    case Op::kMount:
      return call(SYS_mount, texts[0], texts[1], texts[2], n(3), texts[4]);
    case Op::kBpfProgLoad:
      return bpf_prog_load(n(0), c.args[1].list, c.args[1].list_size, texts[2]);
    case Op::kBpfProgAttach:
      return bpf_prog_attach(fds[0], fds[1], n(2), n(3));
    case Op::kUnpack:
    case Op::kIngest:
    case Op::kIndex:
    case Op::kScan:
    case Op::kInspect:
    case Op::kCopy:
    case Op::kExtract:
      return image_call(context, c, fds[0], texts[1]);
  }
  return -ENOSYS;
}

// True when an earlier, tolerated error left one of the call's descriptors absent.
bool lacks_descriptor(const Context& context, const Call& c) {
  for (size_t i = 0; i < c.count; i++) {
    if (!takes_fd(c, i)) continue;
    const uint64_t slot = c.args[i].number;
    if (slot < context.slot_count && context.slots[slot] < 0) return true;
  }
  return false;
}

void close_last_uses(Context& context, const Call& c) {
  for (size_t i = 0; i < c.count; i++) {
    const uint64_t slot = c.args[i].number;
    const bool last = c.args[i].last_use || c.op == Op::kClose;
    if (!last || !takes_fd(c, i) || slot >= context.slot_count) continue;
    Fd(std::exchange(context.slots[slot], -1));
  }
}

}  // namespace

Result perform(Context& context, const Call& c) {
  Result result;
  if (lacks_descriptor(context, c)) {
    result.skipped = true;
    close_last_uses(context, c);
    return result;
  }
  result.value = dispatch(context, c, result.detail);
  if (result.value < 0 && c.tolerates(-result.value)) {
    result.value = 0;
    result.skipped = true;
  } else if (result.value >= 0 && c.returns != kNoSlot && !(c.op == Op::kClone3 && context.child == 0)) {
    Fd(std::exchange(context.slots[c.returns], static_cast<int>(result.value)));
  }
  close_last_uses(context, c);
  return result;
}

long prepare_command(const Context& context) {
  // A launcher that died before its death was this process's too cannot take it along any more.
  char byte;
  if (context.peer.valid() && recv(context.peer.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) return -EPIPE;
  return call(SYS_rt_sigprocmask, SIG_SETMASK, &context.sigmask, nullptr, sizeof context.sigmask);
}

long send_handover(int socket, const Handover& message, int fd, int flags) {
  iovec data = {const_cast<Handover*>(&message), sizeof message};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    header.msg_control = space;
    header.msg_controllen = sizeof space;
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &fd, sizeof fd);
  }
  const long sent = negate(sendmsg(socket, &header, flags));
  return sent < 0 ? sent : 0;
}

long receive_handover(int socket, Handover& message, Fd& received) {
  iovec data = {&message, sizeof message};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = space;
  header.msg_controllen = sizeof space;
  long size;
  do size = negate(recvmsg(socket, &header, MSG_CMSG_CLOEXEC));
  while (size == -EINTR);
  if (size < 0) return size;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    memcpy(&fd, CMSG_DATA(control), sizeof fd);
    received.reset(fd);
  }
  if (size == 0) return -ECONNRESET;
  return size == sizeof message ? 0 : -EBADMSG;
}

}  // namespace boxctl
