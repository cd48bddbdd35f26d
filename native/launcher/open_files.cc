#include "open_files.h"

#include <sys/resource.h>

#include <algorithm>

namespace boxctl {
namespace {

// What a login has by default. A setup has a descriptor for each mount, until that is attached.
constexpr rlim_t kEnough = 1024;

// What the caller had; 0: it was not changed. Processes that the launcher forks know it, too.
constinit rlim_t callers = 0;

uint64_t raise(rlimit limit, rlim_t wanted) {
  if (callers == 0 && wanted != limit.rlim_cur) callers = limit.rlim_cur;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace

void raise_few_open_files() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kEnough) return;
  raise(limit, std::min(kEnough, limit.rlim_max));
}

uint64_t raise_open_files() {
  rlimit limit = {};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? raise(limit, limit.rlim_max) : 0;
}

bool has_raised_open_files() { return callers != 0; }

void restore_open_files() {
  rlimit limit = {};
  if (!has_raised_open_files() || getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min(callers, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace boxctl
