// The launcher's reports to its owner: records (native/wire/events.h) over the control socket, collected and sent in
// one call at each handover. src/launcher/course.ts reads them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../shared/fd.h"
#include "../wire/events.h"

namespace boxctl {

uint64_t now_ns();
// Milliseconds since 1970.
uint64_t wall_clock_ms();

class Events {
 public:
  // `terse`: only what did not go as planned, and turning points.
  explicit Events(int socket, bool terse = false) : socket_(socket), terse_(terse) {}
  void add(const Record& record);
  // The time of a step, in nanoseconds of CLOCK_MONOTONIC; 0 where steps are not told of, so that no page of the clock
  // has to be mapped.
  uint64_t now() const { return terse_ ? 0 : now_ns(); }
  // The plan is not run: tells so at once, with an errno.
  void refuse(int error);
  // Events for an owner that has ended are dropped: the supervisor sees its end by itself.
  void flush();
  // From now on they are written to the file as well, which is `events` of the folder. 0 or -errno. Of the changes of
  // health, of which there is no end, at most kMostHealth stay in it, the last ones.
  static constexpr size_t kMostHealth = 1024;
  long keep_in(int file, int folder);
  // The plan is run again. What was told of the run before is kept in the file `events.1`, of the one before that in
  // `events.2`, and so on for the last four.
  void begin_run(uint32_t restarts);
  // The folder of `keep_in`; -1: there is none.
  int folder() const { return folder_.get(); }
  // The owner's socket has another number now.
  void use(int socket) { socket_ = socket; }
  // Nobody reads the socket any more.
  void leave_owner() { socket_ = -1; }
  // Called with each event that others than the owner wait for, once it is written.
  using Listener = void (*)(void* context, const Record& event);
  void listen(void* context, Listener listener) {
    context_ = context;
    listener_ = listener;
  }

 private:
  void send_all(const char* at, size_t left) const;
  void write_all(const char* at, size_t left) const;
  void forget_health();

  int socket_;
  const bool terse_;
  Fd file_;
  Fd folder_;
  size_t health_ = 0;  // the changes of health in the file
  void* context_ = nullptr;
  Listener listener_ = nullptr;
  size_t count_ = 0;
  Record records_[128];
};

}  // namespace boxctl
