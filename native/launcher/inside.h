// The container's side of a plan: its first process makes these steps, and becomes the command with the last.
#pragma once

#include "calls.h"
#include "events.h"
#include "plan.h"

namespace boxctl {

// Makes one step and tells of it. False: it failed, and `result` says how.
bool perform_step(Context& context, Events& events, const Step& step, uint32_t index, Result& result);

// Never returns: the process becomes the command, or ends.
[[noreturn]] void walk_inside(const Plan& plan, Context& context, int control);

}  // namespace boxctl
