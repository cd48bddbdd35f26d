// The calls of a container's start and no others, in one process: what no launcher can be faster than. Made like the
// default plan of an image that is mounted (`boxctl plan`): namespaces, an overlay over an EROFS mount, /dev, /proc,
// /sys, masked and read-only paths, the loopback interface, capabilities, the filter. Linked with native/libc.
//
// Compiled with FLOOR_FOLDER, the image is that folder in place of the EROFS mount: the difference is what one
// superblock for each start costs, whose pages are read anew.
//
// It is told by lines of its standard input: the folder for writable layers, the index, the archive, the file with the
// filter's instructions; then what the plan masks (`mask PATH`) and makes read-only (`readonly PATH`). Descriptor 3 is
// closed when the command runs.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace {

constexpr long kOpenTree = 428, kMoveMount = 429, kFsopen = 430, kFsconfig = 431, kFsmount = 432, kClone3 = 435,
               kMountSetattr = 442;
constexpr unsigned kFlag = 0, kString = 1, kCreate = 6;
constexpr unsigned kFirstId = 524288;
constexpr unsigned kEmpty = 0x04 | 0x40;  // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH

// What cannot be made ends the program, with the line.
long must(long result, int line = __builtin_LINE()) {
  if (result >= 0) return result;
  char text[64];
  const int size = snprintf(text, sizeof text, "floor: line %d, errno %d\n", line, errno);
  if (write(2, text, static_cast<size_t>(size)) < 0) _exit(2);
  _exit(1);
}

int open_fs(const char* type) { return static_cast<int>(must(syscall(kFsopen, type, 1))); }
void set(int fs, const char* key, const char* value) { must(syscall(kFsconfig, fs, kString, key, value, 0)); }
void flag(int fs, const char* key) { must(syscall(kFsconfig, fs, kFlag, key, nullptr, 0)); }
int mount(int fs, unsigned attributes) {
  must(syscall(kFsconfig, fs, kCreate, nullptr, nullptr, 0));
  const int made = static_cast<int>(must(syscall(kFsmount, fs, 1, attributes)));
  close(fs);
  return made;
}
void attach(int from, int to, const char* path, int line = __builtin_LINE()) {
  must(syscall(kMoveMount, from, "", to, path, *path == 0 ? kEmpty : 0x04), line);
}
int folder(int at, const char* path) {
  return static_cast<int>(must(openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC)));
}
void make(int at, const char* path, mode_t mode) { must(mkdirat(at, path, mode)); }
void write_file(int at, const char* path, const char* text, int flags = O_WRONLY) {
  const int file = static_cast<int>(must(openat(at, path, flags | O_CLOEXEC, 0644)));
  must(write(file, text, strlen(text)));
  close(file);
}
int tree(int at, const char* path, unsigned flags = 0) {
  return static_cast<int>(must(syscall(kOpenTree, at, path, flags | 1 | O_CLOEXEC)));
}

constexpr size_t kMostPaths = 64;

struct Paths {
  const char* all[kMostPaths];
  size_t count = 0;

  void add(const char* path) {
    if (count == kMostPaths) _exit(1);
    all[count++] = path;
  }
  const char* const* begin() const { return all; }
  const char* const* end() const { return all + count; }
};

struct Start {
  int upper, layer, dev, go, told;
  sock_fprog filter;
  Paths masked, read_only;
};

struct Own {
  int proc, pts, shm, mqueue, sys;
};

// Before the host's own /proc and /sys are out of sight: the kernel wants to see them (mount_too_revealing).
Own make_own() {
  constexpr unsigned kUsual = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  const int pts = open_fs("devpts");
  flag(pts, "newinstance");
  set(pts, "ptmxmode", "0666");
  set(pts, "mode", "0620");
  set(pts, "gid", "5");
  const int shm = open_fs("tmpfs");
  set(shm, "mode", "1777");
  set(shm, "size", "65536k");
  return {mount(open_fs("proc"), kUsual), mount(pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), mount(shm, kUsual),
          mount(open_fs("mqueue"), kUsual), mount(open_fs("sysfs"), kUsual | MOUNT_ATTR_RDONLY)};
}

void attach_own(const Own& own, int dev) {
  attach(own.proc, AT_FDCWD, "proc");
  attach(dev, AT_FDCWD, "dev");
  for (const char* name : {"pts", "shm", "mqueue"}) make(dev, name, 0755);
  attach(own.pts, dev, "pts");
  attach(own.shm, dev, "shm");
  attach(own.mqueue, dev, "mqueue");
  attach(own.sys, AT_FDCWD, "sys");
  constexpr const char* kLinks[][2] = {{"/proc/self/fd", "fd"},
                                       {"/proc/self/fd/0", "stdin"},
                                       {"/proc/self/fd/1", "stdout"},
                                       {"/proc/self/fd/2", "stderr"},
                                       {"pts/ptmx", "ptmx"}};
  for (const auto& link : kLinks) must(symlinkat(link[0], dev, link[1]));
}

void hide(const Start& start) {
  mount_attr read_only = {};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  for (const char* path : start.read_only) {
    const int at = openat(AT_FDCWD, path, O_PATH | O_CLOEXEC);
    if (at < 0) continue;
    const int copy = tree(at, "", AT_EMPTY_PATH | AT_RECURSIVE);
    must(syscall(kMountSetattr, copy, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only, sizeof read_only));
    attach(copy, at, "");
  }
  for (const char* path : start.masked) {
    const int at = openat(AT_FDCWD, path, O_PATH | O_CLOEXEC);
    if (at < 0) continue;
    struct stat status;
    must(fstat(at, &status));
    attach(S_ISDIR(status.st_mode) ? mount(open_fs("tmpfs"), MOUNT_ATTR_RDONLY) : tree(AT_FDCWD, "/dev/null"), at, "");
  }
}

[[noreturn]] void become(const Start& start) {
  char byte;
  must(read(start.go, &byte, 1));
  mount_attr is_private = {};
  is_private.propagation = 1 << 18;
  must(syscall(kMountSetattr, AT_FDCWD, "/", AT_RECURSIVE, &is_private, sizeof is_private));
  must(syscall(SYS_setresgid, 0, 0, 0));
  must(syscall(SYS_setresuid, 0, 0, 0));
  must(syscall(SYS_unshare, CLONE_NEWCGROUP));
  syscall(SYS_umask, 0);

  const Own own = make_own();
  write_file(own.proc, "sys/net/ipv4/ping_group_range", "0 65535");
  write_file(own.proc, "sys/net/ipv4/ip_unprivileged_port_start", "0");
  write_file(own.proc, "sys/kernel/pid_max", "4096");
  const int scratch_fs = open_fs("tmpfs");
  set(scratch_fs, "mode", "0700");
  const int scratch = mount(scratch_fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  attach(scratch, AT_FDCWD, "");
  must(syscall(SYS_fchdir, scratch));
  for (const char* name : {"root", "disk", "1"}) make(scratch, name, 0755);
  attach(start.upper, scratch, "disk");
  make(start.upper, "upper", 0755);
  make(start.upper, "work", 0700);
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) write_file(scratch, name, "x\n", O_WRONLY | O_CREAT);
  attach(start.layer, scratch, "1");
  const int overlay_fs = open_fs("overlay");
  set(overlay_fs, "lowerdir", "1");
  set(overlay_fs, "upperdir", "disk/upper");
  set(overlay_fs, "workdir", "disk/work");
  flag(overlay_fs, "volatile");
  flag(overlay_fs, "userxattr");
  const int overlay = mount(overlay_fs, MOUNT_ATTR_NODEV);
  const int hosts = tree(scratch, "hosts"), hostname = tree(scratch, "hostname"), resolv = tree(scratch, "resolv.conf");
  attach(overlay, scratch, "root");
  must(syscall(SYS_fchdir, overlay));
  must(syscall(SYS_pivot_root, ".", "."));
  must(syscall(SYS_umount2, ".", 2));
  must(syscall(SYS_chdir, "/"));
  write_file(AT_FDCWD, "etc/passwd", "root:x:0:0::/root:/bin/sh\n", O_WRONLY | O_CREAT);
  write_file(AT_FDCWD, "etc/group", "root:x:0:\n", O_WRONLY | O_CREAT);
  make(AT_FDCWD, "root", 0700);
  for (const auto& [name, source] :
       {std::pair{"etc/hosts", hosts}, {"etc/hostname", hostname}, {"etc/resolv.conf", resolv}}) {
    close(static_cast<int>(must(openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644))));
    attach(source, AT_FDCWD, name);
  }
  attach_own(own, start.dev);
  hide(start);

  must(syscall(SYS_sethostname, "floor", 5));
  const int control = static_cast<int>(must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
  ifreq loopback = {};
  memcpy(loopback.ifr_name, "lo", 3);
  loopback.ifr_flags = IFF_UP;
  must(ioctl(control, SIOCSIFFLAGS, &loopback));
  must(syscall(SYS_keyctl, 1, nullptr));
  for (unsigned capability = 0; capability <= 40; capability++) must(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  must(syscall(SYS_capset, &header, none));
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  must(syscall(SYS_seccomp, 1, 0, &start.filter));
  char program[] = "/bin/true";
  char* argv[] = {program, nullptr};
  char* environment[] = {nullptr};
  must(syscall(SYS_execve, program, argv, environment));
  _exit(1);
}

char input[8192];
sock_filter instructions[4096];

}  // namespace

int main() {
  const ssize_t size = must(pread(0, input, sizeof input - 1, 0));
  input[size] = '\0';
  char* at = input;
  const auto line = [&at] {
    char* const begin = at;
    at += strcspn(at, "\n");
    if (*at != '\0') *at++ = '\0';
    return begin;
  };
  const char* const paths[4] = {line(), line(), line(), line()};
  Start start = {};
  constexpr char kMask[] = "mask ", kReadOnly[] = "readonly ";
  while (*at != '\0') {
    const char* const said = line();
    if (strncmp(said, kMask, sizeof kMask - 1) == 0) start.masked.add(said + sizeof kMask - 1);
    if (strncmp(said, kReadOnly, sizeof kReadOnly - 1) == 0) start.read_only.add(said + sizeof kReadOnly - 1);
  }
  start.told = 3;
  must(fcntl(3, F_SETFD, FD_CLOEXEC));
  const int filter = static_cast<int>(must(open(paths[3], O_RDONLY | O_CLOEXEC)));
  const ssize_t bytes = must(read(filter, instructions, sizeof instructions));
  start.filter = {static_cast<unsigned short>(static_cast<size_t>(bytes) / sizeof(sock_filter)), instructions};

  const int uppers = folder(AT_FDCWD, paths[0]);
  make(uppers, "floor", 0777);
  must(fchmodat(uppers, "floor", 0777, 0));
  const int data = static_cast<int>(must(open(paths[2], O_RDONLY | O_CLOEXEC)));
  char device[32];
  snprintf(device, sizeof device, "/proc/self/fd/%d", data);
#ifdef FLOOR_FOLDER
  start.layer = tree(AT_FDCWD, FLOOR_FOLDER);
#else
  const int layer_fs = open_fs("erofs");
  flag(layer_fs, "ro");
  set(layer_fs, "source", paths[1]);
  set(layer_fs, "device", device);
  start.layer = mount(layer_fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
#endif
  start.upper = tree(uppers, "floor");
  const int dev_fs = open_fs("tmpfs");
  set(dev_fs, "mode", "755");
  set(dev_fs, "size", "65536k");
  set(dev_fs, "uid", "524288");
  set(dev_fs, "gid", "524288");
  start.dev = mount(dev_fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
  syscall(SYS_umask, 0);
  constexpr struct {
    const char* name;
    unsigned major, minor;
  } kNodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  for (const auto& node : kNodes) {
    must(mknodat(start.dev, node.name, S_IFCHR | 0666, makedev(node.major, node.minor)));
    must(fchownat(start.dev, node.name, kFirstId, kFirstId, 0));
  }

  int go[2];
  must(pipe2(go, O_CLOEXEC));
  start.go = go[0];
  clone_args args = {};
  args.flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  args.exit_signal = SIGCHLD;
  must(syscall(SYS_setresuid, -1, kFirstId, -1));
  must(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
  const pid_t pid = static_cast<pid_t>(must(syscall(kClone3, &args, sizeof args)));
  if (pid == 0) become(start);
  must(syscall(SYS_setresuid, -1, 0, -1));
  close(start.told);
  char path[64];
  for (const char* map : {"uid_map", "gid_map"}) {
    snprintf(path, sizeof path, "/proc/%d/%s", pid, map);
    write_file(AT_FDCWD, path, "0 524288 65536\n");
  }
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  mount_attr shifted = {};
  shifted.attr_set = MOUNT_ATTR_IDMAP;
  shifted.userns_fd = static_cast<uint64_t>(must(open(path, O_RDONLY | O_CLOEXEC)));
  must(syscall(kMountSetattr, start.layer, "", AT_EMPTY_PATH, &shifted, sizeof shifted));
  for (const int fd : {start.layer, start.upper, start.dev}) close(fd);
  must(write(go[1], "", 1));
  int status = 0;
  must(waitpid(pid, &status, 0));

  for (const char* name :
       {"floor/work/work/incompat/volatile/dirty", "floor/work/work/incompat/volatile", "floor/work/work/incompat",
        "floor/work/work", "floor/work", "floor/upper/etc/hosts", "floor/upper/etc/hostname",
        "floor/upper/etc/resolv.conf", "floor/upper/etc/passwd", "floor/upper/etc/group", "floor/upper/etc",
        "floor/upper/root", "floor/upper/dev", "floor/upper/proc", "floor/upper/sys", "floor/upper", "floor"}) {
    if (unlinkat(uppers, name, AT_REMOVEDIR) != 0) unlinkat(uppers, name, 0);
  }
  return status == 0 ? 0 : 1;
}
