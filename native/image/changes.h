// What a container has written, by the writable layer of its overlay: what is there in the layer, and not or otherwise
// below, and what the layer's marks take away.
#pragma once

namespace boxctl::image {

// Writes "A path", "C path" and "D path", each with a NUL, to kOutputFd, in the order of the paths. Ends the process.
[[noreturn]] void list_changes(int upper, int lower);

}  // namespace boxctl::image
