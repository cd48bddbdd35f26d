// What nf_tables has counted for the container: packets that it refused, and where these were to go.
#pragma once

#include "calls.h"
#include "events.h"
#include "plan.h"

namespace boxctl {

// Asks for each of the plan's tallies, and sends what the kernel answers to the owner. Whatever cannot be read is left
// out: the container has ended, and its end is told in any case.
void send_tallies(const Plan& plan, const Context& context, Events& events);

}  // namespace boxctl
