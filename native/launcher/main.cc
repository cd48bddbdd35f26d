// The launcher: started by the addon with a plan and its owner's socket (native/wire/descriptors.h), or with a socket
// over which it is told to start plans. What happens is told over the owner's socket; the exit status says nothing.
#include <sys/stat.h>

#include "../shared/fd.h"
#include "../wire/descriptors.h"
#include "open_files.h"
#include "serve.h"
#include "start.h"

int main() {
  boxctl::raise_few_open_files();
  struct stat status;
  const long found = boxctl::negate(fstat(boxctl::kPlanFd, &status));
  if (found == 0 && S_ISSOCK(status.st_mode)) {
    boxctl::serve(boxctl::kPlanFd);
    return 0;
  }
  return boxctl::start(found < 0 ? found : static_cast<long>(status.st_size)) ? 0 : 1;
}
