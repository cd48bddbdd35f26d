#include "plan_file.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#include "../shared/fd.h"

namespace boxctl {
namespace {

// Where pages are larger, mmap(2) refuses what is between two of them.
constexpr uintptr_t kPage = 4096;

// Whether a call has only descriptors, numbers and netlink messages.
bool has_no_text(const Call& call) {
  for (const char* kind = signature(call.op); *kind != '\0'; kind++) {
    if (*kind != 'f' && *kind != 'n' && *kind != 'M') return false;
  }
  return true;
}

bool has_no_text(const Plan& plan, const Step& step) {
  const uint8_t* at = step.undo;
  for (uint16_t i = 0; i < step.undos; i++) {
    if (!has_no_text(next_call(plan, at))) return false;
  }
  return has_no_text(step.call);
}

// Calls `use` with the whole pages of each run of steps without text, until it is false.
template <typename Use>
void for_pages(const Plan& plan, Use use) {
  for (uint32_t i = 0; i < plan.steps; i++) {
    const uint8_t* const begin = plan.step_at[i];
    while (i < plan.steps && has_no_text(plan, step(plan, i))) i++;
    const uint8_t* const end = i < plan.steps ? plan.step_at[i] : plan.reports_at;
    const uintptr_t from = (reinterpret_cast<uintptr_t>(begin) + kPage - 1) / kPage * kPage;
    const uintptr_t to = reinterpret_cast<uintptr_t>(end) / kPage * kPage;
    if (from < to && !use(from, to - from)) return;
  }
}

}  // namespace

void PlanFile::keep_steps(int folder, const Plan& plan) {
  if (kept_ > 0 || folder < 0) return;
  size_t all = 0;
  for_pages(plan, [&all](uintptr_t, size_t size) { return (all += size) > 0; });
  if (all == 0) return;
  const Fd file(openat(folder, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
  if (!file.valid()) return;
  size_t written = 0;
  for_pages(plan, [&](uintptr_t from, size_t size) {
    const ssize_t put = pwrite(file.get(), reinterpret_cast<const void*>(from), size, static_cast<off_t>(written));
    written += put > 0 ? static_cast<size_t>(put) : 0;
    return put == static_cast<ssize_t>(size);
  });
  if (written < all) return;
  for_pages(plan, [&](uintptr_t from, size_t size) {
    const long mapped = call(SYS_mmap, nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), kept_);
    // In one call, so that the steps are never missing.
    if (mapped < 0 || call(SYS_mremap, mapped, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, from) < 0) return false;
    kept_ += size;
    return true;
  });
}

void PlanFile::release(const Plan& plan) const {
  size_t left = kept_;
  for_pages(plan, [&left](uintptr_t from, size_t size) {
    if (left == 0) return false;
    left -= size;
    return call(SYS_madvise, from, size, MADV_DONTNEED) == 0;
  });
}

}  // namespace boxctl
