// What a plan has to be done after the command's end: numbers to be read, and steps to be undone.
#pragma once

#include "calls.h"
#include "events.h"
#include "plan.h"

namespace boxctl {

// Closes all descriptors of the plan but those that the end needs: the container's others would stay open beside it.
void close_unneeded(const Plan& plan, Context& context);
// Reads the numbers that the plan asks for, and sends them to the owner.
void send_reports(const Plan& plan, const Context& context, Events& events);
// Undoes the steps that are `done`, the last one first: those of one run, or those that are made once for all runs.
void undo(const Plan& plan, Context& context, Events& events, bool* done, bool once);
// Closes what one run has opened. Descriptors of steps that are made once stay.
void close_run(const Plan& plan, Context& context);

}  // namespace boxctl
