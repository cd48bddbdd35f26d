/*
 * Attacks of a program inside, and callers of an odd kind outside. The first argument says which; what each attempt
 * came to is printed as NAME ERRNO, 0 where it succeeded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char* name, long result) {
  printf("%s %d\n", name, result < 0 ? errno : 0);
  fflush(stdout);
}

#define TRY(name, ...) say(name, syscall(__VA_ARGS__))

#ifdef __x86_64__
/* A call of 32-bit programs, in a process of its own: a kernel without them ends it by SIGSEGV (128 + 11). */
static void try_i386(const char* name, long number, long first, long second) {
  const pid_t pid = fork();
  if (pid == 0) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(0L) : "memory");
    _exit((int)result < 0 ? -(int)result : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  printf("%s %d\n", name, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
#endif

/* Arguments that the kernel would answer with another error than EPERM, or none, if it were asked. */
static void calls(void) {
  static const long flags[] = {0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x80};
  for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
    char name[32];
    snprintf(name, sizeof name, "unshare_%lx", flags[i]);
    TRY(name, SYS_unshare, flags[i]);
  }
  TRY("clone_newuser", SYS_clone, 0x10000000L | SIGCHLD, 0L, 0L, 0L, 0L);
  TRY("clone_newns_high", SYS_clone, 0x100000000L | 0x00020000L | SIGCHLD, 0L, 0L, 0L, 0L);
  TRY("clone3", 435L, 0L, 0L);
  TRY("setns", SYS_setns, -1L, 0L);
  TRY("mount", SYS_mount, "none", "/", "tmpfs", 0L, 0L);
  TRY("umount2", SYS_umount2, "/proc", 2L);
  TRY("pivot_root", SYS_pivot_root, "/", "/");
  TRY("open_tree", 428L, -1L, "/", 1L);
  TRY("move_mount", 429L, -1L, "/", -1L, "/", 0L);
  TRY("fsopen", 430L, "proc", 0L);
  TRY("fsconfig", 431L, -1L, 0L, 0L, 0L, 0L);
  TRY("fsmount", 432L, -1L, 0L, 0L);
  TRY("mount_setattr", 442L, -1L, "", 0L, 0L, 0L);
  TRY("bpf", SYS_bpf, -1L, 0L, 0L);
  TRY("perf_event_open", SYS_perf_event_open, 0L, 0L, -1L, -1L, 0L);
  TRY("userfaultfd", SYS_userfaultfd, 1L);
  TRY("io_uring_setup", 425L, 1L, 0L);
  TRY("keyctl", SYS_keyctl, 0L, -3L, 0L);
  TRY("add_key", SYS_add_key, "user", "x", "x", 1L, -3L);
  TRY("request_key", SYS_request_key, "user", "x", 0L, 0L);
  TRY("init_module", SYS_init_module, 0L, 0L, "");
  TRY("finit_module", SYS_finit_module, -1L, "", 0L);
  TRY("delete_module", SYS_delete_module, "x", 0L);
  TRY("kexec_load", SYS_kexec_load, 0L, 0L, 0L, 0L);
  TRY("reboot", SYS_reboot, 0L, 0L, 0L, 0L);
  TRY("swapon", SYS_swapon, "/x", 0L);
  TRY("syslog", SYS_syslog, 3L, 0L, 0L);
  TRY("settimeofday", SYS_settimeofday, 0L, 0L);
  TRY("clock_settime", SYS_clock_settime, 0L, 0L);
  struct timex clock;
  memset(&clock, 0, sizeof clock);
  TRY("read_adjtimex", SYS_adjtimex, &clock);
  memset(&clock, 0, sizeof clock);
  TRY("read_clock_adjtime", SYS_clock_adjtime, 0L, &clock);
  clock.modes = ADJ_TICK;
  TRY("adjtimex", SYS_adjtimex, &clock);
  TRY("clock_adjtime", SYS_clock_adjtime, 0L, &clock);
  TRY("acct", SYS_acct, 0L);
  TRY("quotactl", SYS_quotactl, 0L, 0L, 0L, 0L);
  TRY("open_by_handle_at", SYS_open_by_handle_at, -1L, 0L, 0L);
  TRY("pidfd_getfd", 438L, -1L, 0L, 0L);
  TRY("kcmp", SYS_kcmp, 1L, 1L, 0L, 0L, 0L);
  TRY("personality_norandom", SYS_personality, 0x0040000L);
  TRY("socket_vsock", SYS_socket, 40L, 1L, 0L);
  TRY("socket_vsock_high", SYS_socket, 0x100000028L, 1L, 0L);
  /* Cryptography, and families that the kernel has dropped or will have. */
  static const long families[] = {38, 12, 19, 20, 23, 25, 34, 37, 46, 63};
  for (unsigned i = 0; i < sizeof families / sizeof *families; i++) {
    char name[32];
    snprintf(name, sizeof name, "socket_%ld", families[i]);
    TRY(name, SYS_socket, families[i], 5L, 0L);
    int pair[2];
    snprintf(name, sizeof name, "socketpair_%ld", families[i]);
    TRY(name, SYS_socketpair, families[i], 5L, 0L, pair);
  }
  TRY("process_madvise", 440L, -1L, 0L, 0L, 0L, 0L);
  TRY("lsm_list_modules", 461L, 0L, 0L, 0L);
  TRY("file_setattr", 469L, -100L, "/", 0L, 0L, 0L);
#ifdef __x86_64__
  TRY("iopl", SYS_iopl, 3L);
  TRY("x32_getpid", 0x40000000L + SYS_getpid);
  try_i386("i386_getpid", 20, 0, 0);
  try_i386("i386_mount", 21, 0, 0);
  try_i386("i386_unshare", 310, 0x10000000, 0);
  try_i386("i386_keyctl", 288, 0, 0);
  try_i386("i386_socket_alg", 359, 38, 5);
  /* socketcall with SYS_SOCKET and SYS_SOCKETPAIR: the family is behind the pointer. */
  try_i386("i386_socketcall_socket", 102, 1, 0);
  try_i386("i386_socketcall_pair", 102, 8, 0);
#endif
}

/* With every capability and no filter: what is left is the kernel's own check against the host's user namespace. */
static void host(void) {
  TRY("syslog_read", SYS_syslog, 2L, "", 0L);
  TRY("syslog_clear", SYS_syslog, 5L, 0L, 0L);
  const long time[2] = {1000000000, 0};
  TRY("clock_settime", SYS_clock_settime, 0L, time);
  TRY("settimeofday", SYS_settimeofday, time, 0L);
  TRY("delete_module", SYS_delete_module, "boxctl_none", 04000L);
  TRY("init_module", SYS_init_module, "", 0L, "");
  TRY("reboot", SYS_reboot, 0xfee1deadL, 672274793L, 0x89abcdefL, 0L);
  TRY("swapon", SYS_swapon, "/bin", 0L);
  TRY("acct", SYS_acct, 0L);
  say("kmsg", open("/dev/kmsg", O_WRONLY));
  say("proc_kmsg", open("/proc/kmsg", O_RDONLY | O_NONBLOCK));
  say("kcore", open("/proc/kcore", O_RDONLY));
  say("core_pattern", open("/proc/sys/kernel/core_pattern", O_WRONLY));
  say("sysrq", open("/proc/sysrq-trigger", O_WRONLY));
  say("uevent_helper", open("/sys/kernel/uevent_helper", O_WRONLY));
  say("mknod_mem", mknod("/tmp/mem", S_IFCHR | 0666, makedev(1, 1)));
  say("mknod_disk", mknod("/tmp/disk", S_IFBLK | 0666, makedev(8, 0)));
#ifdef __x86_64__
  TRY("iopl", SYS_iopl, 3L);
#endif
}

/* Both put characters into a terminal as if they were typed. */
static void inject(void) {
  char letter[2] = "x";
  TRY("tiocsti", SYS_ioctl, 0L, 0x5412L, letter);
  TRY("tiocsti_high", SYS_ioctl, 0L, 0x100005412L, letter);
  TRY("tiocsti_sign", SYS_ioctl, 0L, (long)0xffffffff00005412UL, letter);
  letter[0] = 3;
  TRY("tioclinux", SYS_ioctl, 0L, 0x541cL, letter);
  TRY("tioclinux_high", SYS_ioctl, 0L, 0x10000541cL, letter);
}

static void keys(void) {
  TRY("search_session", SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "boxctl-canary", 0L);
  TRY("search_user", SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_SESSION_KEYRING, "user", "boxctl-canary", 0L);
  TRY("request", SYS_request_key, "user", "boxctl-canary", 0L, 0L);
}

static socklen_t abstract(struct sockaddr_un* address, const char* name) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  strncpy(address->sun_path + 1, name, sizeof address->sun_path - 2);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* A process of the host's with a socket that has no file. */
static void serve(const char* name) {
  struct sockaddr_un address;
  const socklen_t size = abstract(&address, name);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr*)&address, size) != 0 || listen(fd, 8) != 0) exit(2);
  puts("ready");
  fflush(stdout);
  sleep(20);
}

/* Both, by namespaces that are the host's. */
static void reach(const char* name, const char* pid) {
  struct sockaddr_un address;
  const socklen_t size = abstract(&address, name);
  say("abstract_socket", connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)&address, size));
  say("signal", kill(atoi(pid), SIGUSR1));
}

static void groups(void) {
  const gid_t none[] = {0};
  say("setgroups", setgroups(0, none));
  say("open", open("/w/denied", O_RDONLY));
}

static void run(char** command) {
  execvp(command[0], command);
  perror(command[0]);
  exit(127);
}

int main(int count, char** words) {
  const char* what = count > 1 ? words[1] : "";
  if (strcmp(what, "calls") == 0) calls();
  if (strcmp(what, "host") == 0) host();
  if (strcmp(what, "inject") == 0) inject();
  if (strcmp(what, "keys") == 0) keys();
  if (strcmp(what, "groups") == 0) groups();
  if (strcmp(what, "serve") == 0 && count > 2) serve(words[2]);
  if (strcmp(what, "reach") == 0 && count > 3) reach(words[2], words[3]);
  if (strcmp(what, "with-key") == 0) {
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0L) < 0) return perror("keyctl"), 2;
    if (syscall(SYS_add_key, "user", "boxctl-canary", "secret", 6L, KEY_SPEC_SESSION_KEYRING) < 0) return perror("add_key"), 2;
    if (syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "boxctl-canary", 0L) < 0) return 3;
    run(words + 2);
  }
  if (strcmp(what, "odd") == 0) {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    umask(0);
    run(words + 2);
  }
  return 0;
}
