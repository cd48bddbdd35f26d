// The unpacker and the remover as programs of their own, so that tests can run them without a container:
//   unpack-main unpack|layer DIR [ENTRIES BYTES]   reads the archive from standard input, reports on standard error
//   unpack-main rmtree DIR NAME              exits with the errno
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../native/image/report.h"
#include "../../../native/image/unpack.h"
#include "../../../native/launcher/rmtree.h"

namespace {

ssize_t read_input(void*, void* buffer, size_t size) { return read(0, buffer, size); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int dir = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return 2;
  if (strcmp(argv[1], "rmtree") == 0 && argc == 4) return static_cast<int>(-boxctl::rmtree(dir, argv[3]));
  boxctl::UnpackOptions options;
  if (strcmp(argv[1], "layer") == 0) options.walk.whiteouts = boxctl::image::Whiteouts::kMarks;
  if (argc == 5) {
    options.walk.entries = strtoull(argv[3], nullptr, 10);
    options.bytes = strtoull(argv[4], nullptr, 10);
  }
  umask(0);
  boxctl::image::Stage stage({read_input, nullptr});
  if (stage.start()) return 2;
  boxctl::image::Stage::Tap tap{&stage, 0};
  const boxctl::Unpacked result = boxctl::unpack(dir, tap, options);
  if (result.failure) {
    boxctl::image::report_failure(result.failure, result.entry);
    _exit(1);
  }
  boxctl::image::Report report;
  report.number("entries", result.entries);
  report.number("bytes", result.bytes);
  report.number("squashed", result.squashed);
  report.number("skipped", result.skipped);
  report.open_list("implied");
  for (size_t i = 0; i < result.implied.size(); i++) report.item(result.implied[i]);
  report.close_list();
  report.send();
  // As the imager does: the stage's thread may still be reading.
  _exit(0);
}
