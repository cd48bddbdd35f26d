// The networks that containers share, as the files of their claims have them (src/state/addresses.ts).
#pragma once

#include <stddef.h>

namespace boxctl {

// Whether a container with the claim `own` may start beside one that has the claim `other`: its addresses are free, and
// its networks have the subnets that they have there. False also where that cannot be told. Both are texts of JSON from
// `"networks"` on, or more.
bool may_be_beside(const char* own, size_t own_size, const char* other, size_t other_size);

}  // namespace boxctl
