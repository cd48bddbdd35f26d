// What secrets and configs hold: boxctl hands it over in a sealed memfd (src/launcher/contents.ts), the first of the
// kept descriptors. It is there for every run of the container, and for no other process.
#pragma once

#include <stdint.h>

namespace boxctl {

// Writes content `index` of the descriptor `given` to the file `to`. 0 or -errno: -EINVAL for what is none of it.
long write_given(int given, uint64_t index, int to);

}  // namespace boxctl
