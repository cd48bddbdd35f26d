// Runs a program of the host beside the container: the one that carries the packets of an ordinary user's network
// (slirp4netns or pasta).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "events.h"
#include "poller.h"

namespace boxctl {

// Keeps the last bytes that a program wrote. It may write any amount.
class LastWords {
 public:
  // Reads what can be read without waiting, and no more than a bounded number of bytes: whoever writes may be faster.
  // False: the other end is closed.
  bool read_from(int fd);
  void tell(Events& events, uint32_t step) const;

 private:
  void keep(const char* bytes, size_t size);

  size_t size_ = 0;
  char bytes_[1024];
};

class Helper {
 public:
  // Starts the program in a session of its own, with an empty environment, and waits until it is ready: until it has
  // written to its descriptor `ready` (1 or 3). When this process ends, the program is killed (PR_SET_PDEATHSIG), and
  // the pipe at its descriptor 0 is closed. Its output to 1 and 2 is kept (LastWords). Returns a pidfd or -errno:
  // -ETIMEDOUT if it was not ready in time, -ECANCELED if it ended before. `detail` is then its exit status, or 128
  // plus the signal that ended it.
  long start(const char* path, char* const* argv, uint64_t ready, uint64_t timeout_ms, uint32_t& detail);
  bool used() const { return pid_ >= 0; }
  pid_t pid() const { return pid_; }

  // Sends the program's output as events. `step` is the step that started it.
  void tell(Events& events, uint32_t step) const { words_.tell(events, step); }

  // Until `release`, the program's output is read, and its end is sent as an event.
  void watch(Events& events, uint32_t step);
  void add_sources(Poller& poller);
  // Kills the program, if it still runs.
  void end() const;
  // To be called before the program is killed, so that its end is not reported.
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
