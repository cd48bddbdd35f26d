// Where the calls that work on images go: the imager makes them (native/image), the launcher has none of their code.
#pragma once

#include "calls.h"

namespace boxctl {

// Makes a call for which is_image_call() holds. `dirfd` and `pathname` are the call's first two arguments where it has
// them. The imager's does not return; the launcher's gives -ENOSYS.
long image_call(Context& context, const Call& call, int dirfd, const char* pathname);

}  // namespace boxctl
