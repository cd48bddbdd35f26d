#include "loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "../shared/fd.h"

namespace boxctl {

long attach_loop(int file) {
  const Fd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) return -errno;
  loop_config config = {};
  config.fd = static_cast<uint32_t>(file);
  config.block_size = 512;
  config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
  // EBUSY: another process has taken the same free device first.
  for (int attempt = 0; attempt < 64; attempt++) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return -errno;
    char path[32];
    snprintf(path, sizeof path, "/dev/loop%d", number);
    Fd device(open(path, O_RDONLY | O_CLOEXEC));
    if (!device.valid()) return -errno;
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return device.release();
    if (errno != EBUSY) return -errno;
  }
  return -EBUSY;
}

}  // namespace boxctl
