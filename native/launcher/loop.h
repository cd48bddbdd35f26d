// Loop devices (loop(4)).
#pragma once

namespace boxctl {

// A free loop device over a file, read-only, in blocks of 512 bytes, which is given up with its last use.
long attach_loop(int file);

}  // namespace boxctl
