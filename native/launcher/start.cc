#include "start.h"

#include <stddef.h>
#include <string.h>

#include "../shared/fd.h"
#include "../shared/list.h"
#include "../wire/descriptors.h"
#include "events.h"
#include "plan.h"

namespace boxctl {
namespace {

bool refuse(int error) {
  Events(kControlFd).refuse(error);
  return false;
}

long read_bytes(int file, uint8_t* to, size_t size, size_t from) {
  for (size_t done = 0; done < size;) {
    const ssize_t got = pread(file, to + done, size - done, static_cast<off_t>(from + done));
    if (got <= 0) return -EIO;
    done += static_cast<size_t>(got);
  }
  return 0;
}

// Reads the plan into fresh memory, so that nobody can change it after the check. 0 or -errno.
long read_plan(long size, List<uint8_t>& data) {
  const Fd file(kPlanFd);
  if (size < 0) return size;
  if (size == 0 || static_cast<size_t>(size) > kMaxPlan) return -EIO;
  if (!data.resize(static_cast<size_t>(size))) return -ENOMEM;
  return read_bytes(file.get(), data.begin(), data.size(), 0);
}

// The same with a part replaced, and with a request's own words in the header.
long read_patched(long size, const StartRequest& request, const uint8_t* patch, List<uint8_t>& data) {
  const Fd file(kPlanFd);
  if (size < 0) return size;
  const auto whole = static_cast<size_t>(size);
  const size_t at = request.patch_at;
  const size_t rest_at = at + request.patch_old;
  if (whole < sizeof(PlanHeader) || whole > kMaxPlan || rest_at > whole) return -EBADMSG;
  const size_t total = whole - request.patch_old + request.patch_new;
  if (total > kMaxPlan || !data.resize(total)) return -ENOMEM;
  if (const long error = read_bytes(file.get(), data.begin(), at, 0); error != 0) return error;
  memcpy(data.begin() + at, patch, request.patch_new);
  uint8_t* const rest = data.begin() + at + request.patch_new;
  if (const long error = read_bytes(file.get(), rest, whole - rest_at, rest_at); error != 0) return error;
  if (total < sizeof(PlanHeader)) return -EBADMSG;
  PlanHeader header;
  memcpy(&header, data.begin(), sizeof header);
  header.size = static_cast<uint32_t>(total);
  header.flags = static_cast<uint16_t>(header.flags | request.flags);
  header.id = request.id;
  header.kept_fds = request.kept_fds;
  memcpy(data.begin(), &header, sizeof header);
  return 0;
}

}  // namespace

bool start(long size, const StartRequest* request, const uint8_t* patch, Served* served) {
  List<uint8_t> data;
  const long error = request == nullptr ? read_plan(size, data) : read_patched(size, *request, patch, data);
  if (error != 0) return refuse(static_cast<int>(-error));
  List<const uint8_t*> places;
  if (!places.reset(step_count(data.begin(), data.size()))) return refuse(ENOMEM);
  Plan plan;
  if (!check(data.begin(), data.size(), places.begin(), plan)) return refuse(EBADMSG);
  run(plan, kControlFd, served);
  return true;
}

}  // namespace boxctl
