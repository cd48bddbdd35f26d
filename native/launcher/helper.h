// A program of the host that runs beside the container for as long as that does: the one that carries the packets of an
// ordinary user's network.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "events.h"
#include "poller.h"

namespace boxctl {

// The last bytes that a program wrote. It may write without end.
class LastWords {
 public:
  // Reads what is there now, without waiting. False: the other end is closed.
  bool read_from(int fd);
  void tell(Events& events, uint32_t step) const;

 private:
  void keep(const char* bytes, size_t size);

  size_t size_ = 0;
  char bytes_[1024];
};

class Helper {
 public:
  // Starts the program in a session of its own, without environment. It is killed when this process ends
  // (PR_SET_PDEATHSIG); its descriptor 0 is a pipe that closes then, too. What it writes to 1 and 2 is kept. It is
  // ready once it has written to its descriptor `ready` (1 or 3), which is waited for. Returns a pidfd, or -errno:
  // -ETIMEDOUT when it was not ready in time, and -ECANCELED when it ended instead; `detail` is then its exit status,
  // or 128 and the signal that ended it.
  long start(const char* path, char* const* argv, uint64_t ready, uint64_t timeout_ms, uint32_t& detail);
  bool used() const { return pid_ >= 0; }

  // Tells what it has written, with the step that started it.
  void tell(Events& events, uint32_t step) const { words_.tell(events, step); }

  // From here on what it writes is read, and its end is told. Until `release`.
  void watch(Events& events, uint32_t step);
  void add_sources(Poller& poller);
  // It is about to be killed.
  void release();

 private:
  long await_ready(int ready, uint64_t timeout_ms);
  uint32_t reap();
  void read_output();
  void on_output(short happened);
  void on_end(short happened);

  pid_t pid_ = -1;
  Fd pidfd_;
  Fd lifeline_;
  Fd output_;
  LastWords words_;
  Events* events_ = nullptr;
  uint32_t step_ = 0;
};

}  // namespace boxctl
