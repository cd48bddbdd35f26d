// mount_setattr(2) and fsconfig(2) with the arguments of a plan.
#pragma once

#include "plan.h"

namespace boxctl {

long mount_attributes(int dirfd, const char* path, const Call& c, int userns);
long configure(int fd, const Call& c, const char* key, const char* value, int aux);

}  // namespace boxctl
