// The first process of a container with `init`, once the command is started: its parent (become_init of
// native/launcher/reaper.cc) has executed this program. So nothing of the launcher is in its memory, and whoever may
// join the user namespace of the container may join its other namespaces through this process.
//
// The one argument is the number of the command's process. Every signal is blocked, and no descriptor is open.
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "../libc/start.h"
#include "../shared/reap.h"

int main() {
  const uintptr_t* const arguments = boxctl::libc::initial_stack();
  if (arguments[0] != 2) return 125;
  // Processes of the container cannot look into it unless they have CAP_SYS_PTRACE.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // execve(2) takes it back where it gives a capability.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_NAME, "boxctl-init", 0, 0, 0);
  boxctl::reap_until(static_cast<pid_t>(strtoul(reinterpret_cast<const char*>(arguments[2]), nullptr, 10)));
}
