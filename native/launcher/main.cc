// The launcher: started by the addon with a plan in descriptor 3 and its owner's socket in descriptor 4. It reads the
// plan, checks every byte of it, and runs it. What happens is told over the socket; the exit status says nothing.
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "../shared/fd.h"
#include "events.h"
#include "plan.h"
#include "run.h"

namespace {

using boxctl::Fd;

constexpr int kPlanFd = 3;
constexpr int kControlFd = 4;

int refuse(int error) {
  boxctl::Events events(kControlFd);
  events.add({boxctl::Event::kRefused, 0, error, 0, 0, 0});
  events.flush();
  return 1;
}

// Returns the bytes of the plan in fresh memory, so that nobody can change them after the check; null on failure.
uint8_t* read_plan(size_t& size) {
  const Fd file(kPlanFd);
  struct stat status;
  if (fstat(file.get(), &status) != 0 || status.st_size <= 0) return nullptr;
  size = static_cast<size_t>(status.st_size);
  if (size > boxctl::kMaxPlan) return nullptr;
  auto* data = static_cast<uint8_t*>(malloc(size));
  if (data == nullptr) return nullptr;
  for (size_t done = 0; done < size;) {
    const ssize_t got = pread(file.get(), data + done, size - done, static_cast<off_t>(done));
    if (got <= 0) return nullptr;
    done += static_cast<size_t>(got);
  }
  return data;
}

}  // namespace

int main() {
  size_t size = 0;
  uint8_t* data = read_plan(size);
  if (data == nullptr) return refuse(EIO);
  const uint32_t steps = boxctl::step_count(data, size);
  auto** places = static_cast<const uint8_t**>(calloc(size_t{steps} + 1, sizeof(uint8_t*)));
  boxctl::Plan plan;
  if (places == nullptr || !boxctl::check(data, size, places, plan)) return refuse(EBADMSG);
  boxctl::run(plan, kControlFd);
  return 0;
}
