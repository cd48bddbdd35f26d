#include "observer.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdlib.h>
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

}  // namespace

Observer::~Observer() {
  free(request_);
  free(answer_);
}

bool Observer::start(Fd listener) {
  // The kernel's structures may have grown since this was compiled.
  seccomp_notif_sizes sizes = {};
  if (call(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) return false;
  request_size_ = std::max<size_t>(sizes.seccomp_notif, sizeof(seccomp_notif));
  answer_size_ = std::max<size_t>(sizes.seccomp_notif_resp, sizeof(seccomp_notif_resp));
  request_ = malloc(request_size_);
  answer_ = malloc(answer_size_);
  if (request_ == nullptr || answer_ == nullptr) return false;
  listener_ = std::move(listener);
  return true;
}

// Lets one call go on. POLLHUP: no process has the filter any more.
void Observer::answer(short happened) {
  if (!(happened & POLLIN)) return listener_.reset();
  auto* request = static_cast<seccomp_notif*>(request_);
  memset(request_, 0, request_size_);
  // ENOENT: who made the call was killed meanwhile.
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, request) != 0) return;
  count(request->data.arch, request->data.nr);
  auto* answer = static_cast<seccomp_notif_resp*>(answer_);
  memset(answer_, 0, answer_size_);
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
  for (uint32_t number = 0; number < kNumbers; number++) {
    if (counts_[number] > 0) events.add({Event::kSyscall, number, 0, 0, counts_[number], 0});
  }
  if (others_ > 0) events.add({Event::kSyscall, kUnknownSyscall, 0, 0, others_, 0});
}

}  // namespace boxctl
