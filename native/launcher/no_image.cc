#include "image_call.h"

namespace boxctl {

long image_call(Context&, const Call&, int, const char*) { return -ENOSYS; }

}  // namespace boxctl
