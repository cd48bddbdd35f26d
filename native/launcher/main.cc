// The launcher: started by the addon with a plan and its owner's socket (native/wire/descriptors.h). It reads the
// plan, checks every byte of it, and runs it. What happens is told over the socket; the exit status says nothing.
#include <sys/prctl.h>
#include <sys/stat.h>

#include "../shared/fd.h"
#include "../shared/list.h"
#include "../wire/descriptors.h"
#include "events.h"
#include "plan.h"
#include "run.h"

namespace {

using boxctl::Fd;

using boxctl::kControlFd;
using boxctl::kPlanFd;
using boxctl::List;

int refuse(int error) {
  boxctl::Events events(kControlFd);
  events.add({boxctl::Event::kRefused, 0, error, 0, 0, 0});
  events.flush();
  return 1;
}

// Reads the plan into fresh memory, so that nobody can change it after the check. 0 or -errno.
long read_plan(List<uint8_t>& data) {
  const Fd file(kPlanFd);
  struct stat status;
  if (fstat(file.get(), &status) != 0) return -errno;
  if (status.st_size <= 0 || static_cast<size_t>(status.st_size) > boxctl::kMaxPlan) return -EIO;
  if (!data.resize(static_cast<size_t>(status.st_size))) return -ENOMEM;
  for (size_t done = 0; done < data.size();) {
    const ssize_t got = pread(file.get(), data.begin() + done, data.size() - done, static_cast<off_t>(done));
    if (got <= 0) return -EIO;
    done += static_cast<size_t>(got);
  }
  return 0;
}

}  // namespace

int main() {
  List<uint8_t> data;
  if (const long error = read_plan(data); error != 0) return refuse(static_cast<int>(-error));
  List<const uint8_t*> places;
  if (!places.reset(boxctl::step_count(data.begin(), data.size()))) return refuse(ENOMEM);
  boxctl::Plan plan;
  if (!boxctl::check(data.begin(), data.size(), places.begin(), plan)) return refuse(EBADMSG);
  boxctl::run(plan, kControlFd);
  return 0;
}
