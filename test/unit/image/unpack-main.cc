// The unpacker and the remover as programs of their own, so that tests can run them without a container:
//   unpack-main unpack DIR [ENTRIES BYTES]   reads the archive from standard input, reports on standard error
//   unpack-main rmtree DIR NAME              exits with the errno
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../../../native/launcher/rmtree.h"
#include "../../../native/image/unpack.h"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int dir = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return 2;
  if (strcmp(argv[1], "rmtree") == 0 && argc == 4) return boxctl::rmtree(dir, argv[3]);
  boxctl::UnpackLimits limits;
  if (argc == 5) {
    limits.entries = strtoull(argv[3], nullptr, 10);
    limits.bytes = strtoull(argv[4], nullptr, 10);
  }
  return boxctl::unpack(dir, 0, 2, limits);
}
