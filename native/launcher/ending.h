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

// Some of a plan's steps.
struct Undone {
  bool once;  // those that are made once for all runs; else those of one run
  bool late;  // those that are undone after the end was told; else the others
};
// Undoes those steps that are `done`, the last one first.
void undo(const Plan& plan, Context& context, Events& events, bool* done, Undone which);
// Closes what one run has opened. Descriptors of steps that are made once stay.
void close_run(const Plan& plan, Context& context);

}  // namespace boxctl
