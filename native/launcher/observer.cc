#include "observer.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace boxctl {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kMachine = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kMachine = AUDIT_ARCH_AARCH64;
#endif

// The kernel's structures may have grown since this was compiled. Words, since they are aligned like these.
bool make(List<uint64_t>& structure, size_t kernels, size_t ours) {
  const size_t size = std::max(kernels, ours);
  return structure.reset((size + sizeof(uint64_t) - 1) / sizeof(uint64_t));
}

}  // namespace

bool Observer::start(Fd listener) {
  seccomp_notif_sizes sizes = {};
  if (call(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) return false;
  if (!counts_.reset(kNumbers)) return false;
  if (!make(request_, sizes.seccomp_notif, sizeof(seccomp_notif))) return false;
  if (!make(answer_, sizes.seccomp_notif_resp, sizeof(seccomp_notif_resp))) return false;
  listener_ = std::move(listener);
  return true;
}

// Lets one call go on. POLLHUP: no process has the filter any more.
void Observer::answer(short happened) {
  if (!(happened & POLLIN)) return listener_.reset();
  auto* request = reinterpret_cast<seccomp_notif*>(request_.begin());
  // The kernel refuses a structure that is not all zero (EINVAL).
  memset(request_.begin(), 0, request_.size() * sizeof(uint64_t));
  // ENOENT: the process that made the call was killed meanwhile.
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, request) != 0) return;
  count(request->data.arch, request->data.nr);
  auto* answer = reinterpret_cast<seccomp_notif_resp*>(answer_.begin());
  memset(answer_.begin(), 0, answer_.size() * sizeof(uint64_t));
  answer->id = request->id;
  answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, answer);
}

void Observer::count(uint32_t arch, int number) {
  const auto index = static_cast<uint32_t>(number);
  if (arch == kMachine && index < kNumbers) {
    counts_[index]++;
  } else {
    others_++;
  }
}

void Observer::report(Events& events) const {
  for (uint32_t number = 0; number < counts_.size(); number++) {
    if (counts_[number] > 0) events.add({Event::kSyscall, number, 0, 0, counts_[number], 0});
  }
  if (others_ > 0) events.add({Event::kSyscall, kUnknownSyscall, 0, 0, others_, 0});
}

}  // namespace boxctl
