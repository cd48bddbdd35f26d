// Runs the commands of one kind that a plan has for the beginning or the end of its container, one after the other.
#pragma once

#include <stdint.h>

#include "events.h"
#include "exec.h"
#include "plan.h"
#include "poller.h"

namespace boxctl {

class Hooks {
 public:
  // False: the plan has none of this kind.
  bool start(const Plan& plan, const Context& context, Events& events, uint32_t kind);
  void add_sources(Poller& poller);
  // To be called after the sources were handled. True once: all of this kind have ended, or one has failed, after which
  // no other is run.
  bool have_ended();
  bool failed() const { return failed_; }
  uint32_t kind() const { return kind_; }
  // The process of the one that is running; -1: none is.
  pid_t pid() const { return exec_.pid(); }
  void abandon();

 private:
  bool begin_next();
  bool tell(long error);

  const Plan* plan_ = nullptr;
  const Context* context_ = nullptr;
  Events* events_ = nullptr;
  uint32_t kind_ = 0;
  uint32_t next_ = 0;
  PlannedExec current_;
  bool busy_ = false;
  bool failed_ = false;
  Exec exec_;
};

}  // namespace boxctl
