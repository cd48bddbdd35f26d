// Asks again and again whether the container is healthy, as its plan says.
//
// What is known is in the file `health` of the container's folder (HEALTH_HEADER and HEALTH_RESULT of
// src/kernel/wire.ts): the state, and the last results in the order of a ring.
#pragma once

#include <stdint.h>

#include "../shared/fd.h"
#include "events.h"
#include "exec.h"
#include "plan.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

class Health {
 public:
  // Begins, if the plan has a check. `folder`: where the file is; -1: nowhere.
  void start(const Plan& plan, const Context& context, Events& events, int folder);
  // It ends with the command.
  void stop();
  void add_sources(Poller& poller);
  // To be called after the sources were handled.
  void advance();
  // The process of the check that is running; -1: none is.
  pid_t pid() const { return exec_.pid(); }

 private:
  void on_time(short happened);
  void conclude();
  void become(uint32_t state);
  bool in_start_period() const;
  void schedule();
  void write_header() const;
  void write_result(int32_t status);

  const Context* context_ = nullptr;
  Events* events_ = nullptr;
  PlannedExec check_;
  Fd file_;
  Timer timer_;
  Exec exec_;
  bool asks_ = false;
  uint32_t state_ = 0;
  uint32_t failures_ = 0;  // one after the other
  uint64_t results_ = 0;
  uint64_t began_ = 0;     // ns of the monotonic clock
  uint64_t asked_at_ = 0;  // ms since 1970
};

}  // namespace boxctl
