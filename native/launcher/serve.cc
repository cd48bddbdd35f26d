#include "serve.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <utility>

#include "../shared/fd.h"
#include "../shared/syscalls.h"
#include "../wire/descriptors.h"
#include "events.h"
#include "lean_mounts.h"
#include "start.h"

namespace boxctl {
namespace {

// A request's descriptors get the lowest free numbers, in their order: the plan's, the control socket's and those of
// the kept ones are those that the launcher expects, and these are beyond them.
constexpr int kSocketFd = 60, kReportFd = 61, kMountsFd = 62, kEndFd = 64;
constexpr int kMostFds = kLauncherFds + kMaxKeptFds;
static_assert(kMostFds < kSocketFd);

constexpr size_t kLeastBusy = 2, kMostBusy = 64;
constexpr int kPatienceMs = 50;
constexpr uint64_t kPatienceNs = kPatienceMs * 1'000'000;
constexpr int kMostFailures = 100;
constexpr timespec kPause = {0, 10'000'000};

struct KernelAction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  unsigned long mask;
};

// Children of the server are not waited for.
void ignore_children(bool ignores) {
  KernelAction action = {ignores ? SIG_IGN : SIG_DFL, 0, nullptr, 0};
  call(SYS_rt_sigaction, SIGCHLD, &action, nullptr, sizeof action.mask);
}

void set_mask(unsigned long mask, unsigned long* before = nullptr) {
  call(SYS_rt_sigprocmask, SIG_SETMASK, &mask, before, sizeof mask);
}

struct Request {
  StartRequest head;
  uint8_t patch[kMaxPatch];
  uint32_t fds = 0;
  bool sound = false;
};

// Beyond the stack: most of it is not used, and takes no memory then.
constinit Request request = {};

bool by_same_user(const ucred& sender) {
  return sender.uid == getuid() && sender.gid == static_cast<gid_t>(call(SYS_getgid));
}

// Waits for one. False: there will be none.
bool receive() {
  iovec parts[] = {{&request.head, sizeof request.head}, {request.patch, sizeof request.patch}};
  alignas(cmsghdr) char space[CMSG_SPACE(kMostFds * sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  header.msg_control = space;
  header.msg_controllen = sizeof space;
  long size;
  do size = negate(recvmsg(kSocketFd, &header, MSG_CMSG_CLOEXEC));
  while (size == -EINTR);
  if (size <= 0) return false;
  bool known = false;
  bool in_order = true;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      ucred sender;
      memcpy(&sender, CMSG_DATA(part), sizeof sender);
      known = by_same_user(sender);
    }
    if (part->cmsg_type != SCM_RIGHTS) continue;
    request.fds = static_cast<uint32_t>((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (uint32_t i = 0; i < request.fds; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      if (fd != kPlanFd + static_cast<int>(i)) in_order = false;
    }
  }
  const auto expected = static_cast<size_t>(size);
  request.sound = known && in_order && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
                  expected >= sizeof request.head && expected == sizeof request.head + request.head.patch_new &&
                  request.head.kept_fds <= kMaxKeptFds && request.fds == kLauncherFds + request.head.kept_fds;
  return true;
}

// The last three descriptors become 0, 1 and 2.
bool take_streams() {
  const int first = kLauncherFds + static_cast<int>(request.head.kept_fds);
  for (int fd = 0; fd < 3; fd++) {
    if (dup2(first + fd, fd) != fd) return false;
  }
  return call(kSysCloseRange, static_cast<unsigned>(first), static_cast<unsigned>(kSocketFd), 0U) == 0;
}

// A launcher that does not know its container yet.
class Launcher {
 public:
  Launcher(LeanMounts& mounts, unsigned long mask, pid_t server) : mounts_(mounts), mask_(mask), server_(server) {}

  // `report`: a byte tells the server that there is a request, and its end that the command runs.
  [[noreturn]] void wait_and_run(Fd report) {
    // Until it has a container, it ends with the server.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != server_) _exit(0);
    if (!receive()) _exit(0);
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    const char taken = 1;
    call(SYS_write, report.get(), &taken, sizeof taken);
    // The kernel lets who is woken up interrupt who has sent the request: its thread has others to serve.
    call(SYS_sched_yield);
    serve(std::move(report));
    // The owner sees the end of the control socket: by then nothing else is held.
    call(kSysCloseRange, 0U, static_cast<unsigned>(kControlFd) - 1, 0U);
    call(kSysCloseRange, static_cast<unsigned>(kControlFd) + 1, ~0U, 0U);
    _exit(0);
  }

 private:
  void serve(Fd report) {
    if (!request.sound || !take_streams()) return Events(kControlFd).refuse(EPROTO);
    // As it would be, had it been executed.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    ignore_children(false);
    set_mask(mask_);
    struct stat status;
    const long found = negate(fstat(kPlanFd, &status));
    Served served = {mounts_.made() ? &mounts_ : nullptr, std::move(report)};
    start(found < 0 ? found : static_cast<long>(status.st_size), &request.head, request.patch, &served);
  }

  LeanMounts& mounts_;
  const unsigned long mask_;
  const pid_t server_;
};

// As many as there are processors, and one more: more setups at a time only keep each other, and everybody else, from
// the processors.
size_t most_busy() {
  uint64_t processors[16] = {};
  if (call(SYS_sched_getaffinity, 0, sizeof processors, processors) < 0) return kLeastBusy;
  size_t count = 1;
  for (uint64_t part : processors) {
    for (; part != 0; part &= part - 1) count++;
  }
  return count < kLeastBusy ? kLeastBusy : count > kMostBusy ? kMostBusy : count;
}

// Launchers that set up a container.
class Busy {
 public:
  static constexpr size_t kRoom = kMostBusy * 2;

  void add(Fd report) {
    // One that has no place any more is not counted.
    if (count_ == kRoom) forget(0);
    setups_[count_].since = now_ns();
    setups_[count_++].report = std::move(report);
  }
  // Those that have begun within the last kPatienceNs: one that takes longer waits for something, and for no processor.
  size_t count() const {
    size_t young = 0;
    for (size_t i = 0; i < count_; i++) young += now_ns() - setups_[i].since < kPatienceNs;
    return young;
  }
  size_t add_to(pollfd* polls) const {
    for (size_t i = 0; i < count_; i++) polls[i] = {setups_[i].report.get(), 0, 0};
    return count_;
  }
  void forget_ended(const pollfd* polls) {
    for (size_t i = count_; i-- > 0;) {
      if (polls[i].revents != 0) forget(i);
    }
  }

 private:
  struct Setup {
    Fd report;
    uint64_t since = 0;
  };
  void forget(size_t index) {
    for (; index + 1 < count_; index++) setups_[index] = std::move(setups_[index + 1]);
    setups_[--count_].report.reset();
  }

  Setup setups_[kRoom];
  size_t count_ = 0;
};

class Server {
 public:
  void run() {
    unsigned long mask;
    set_mask(~0UL, &mask);
    ignore_children(true);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    // It is in nobody's way: neither a folder nor a file system is in use by it.
    if (call(SYS_chdir, "/") < 0) return;
    long error;
    mounts_.make(kMountsFd, error);
    if (error < 0) return;
    const size_t most = most_busy();
    int failures = 0;
    do {
      if (idle_.valid() || busy_.count() >= most) continue;
      if (make_launcher(mask)) continue;
      if (++failures == kMostFailures) return;
      nanosleep(&kPause, nullptr);
    } while (wait(failures));
  }

 private:
  bool make_launcher(unsigned long mask) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t self = getpid();
    const pid_t pid = fork();
    if (pid < 0) return false;
    if (pid == 0) {
      reading.reset();
      if (call(SYS_dup3, writing.get(), kReportFd, O_CLOEXEC) < 0) _exit(1);
      writing.reset();
      call(kSysCloseRange, static_cast<unsigned>(kPlanFd), static_cast<unsigned>(kSocketFd) - 1, 0U);
      call(kSysCloseRange, static_cast<unsigned>(kEndFd), ~0U, 0U);
      Launcher(mounts_, mask, self).wait_and_run(Fd(kReportFd));
    }
    idle_ = std::move(reading);
    return true;
  }

  // Waits until something changes. False: nobody is left who could ask for something.
  bool wait(int& failures) {
    pollfd polls[2 + Busy::kRoom] = {{kSocketFd, 0, 0}, {idle_.get(), POLLIN, 0}};
    const size_t count = 2 + busy_.add_to(polls + 2);
    if (poll(polls, count, idle_.valid() ? -1 : kPatienceMs) < 0) return true;
    if (polls[0].revents != 0) return false;
    busy_.forget_ended(polls + 2);
    if (polls[1].revents == 0) return true;
    char taken = 0;
    if (read(idle_.get(), &taken, 1) == 1) {
      failures = 0;
      busy_.add(std::move(idle_));
      return true;
    }
    // It has ended without a request.
    idle_.reset();
    if (++failures == kMostFailures) return false;
    nanosleep(&kPause, nullptr);
    return true;
  }

  LeanMounts mounts_;
  Fd idle_;  // of the launcher that waits
  Busy busy_;
};

}  // namespace

void serve(int socket) {
  // Its own descriptors leave the low numbers to those of the requests.
  if (call(SYS_dup3, socket, kSocketFd, O_CLOEXEC) < 0) return;
  call(kSysCloseRange, static_cast<unsigned>(socket), static_cast<unsigned>(kSocketFd) - 1, 0U);
  const int yes = 1;
  if (setsockopt(kSocketFd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0) return;
  Server().run();
}

}  // namespace boxctl
