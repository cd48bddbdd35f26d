// What a process may do: its groups, its capabilities, its system call filter.
#pragma once

#include "plan.h"

namespace boxctl {

long set_groups(const Arg& list);
long set_capabilities(const Call& c);
long install_filter(const Call& c);

}  // namespace boxctl
