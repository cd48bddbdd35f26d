// The command's descriptors 0, 1 and 2 where it has no terminal of its own. Each is looked at, and
//   passed    when the command's user could open it again by its name in /proc: a pipe, a file or /dev/null of its own;
//   null      when it is a terminal and the command is to read nothing from it;
//   relayed   otherwise: the command gets a pipe of its own, and the launcher carries the bytes (relay.h).
// A descriptor of the caller's terminal is never passed. The command would read what is typed in the shell after boxctl
// went to the background: it is in another session, which SIGTTIN does not stop.
#pragma once

#include "calls.h"

namespace boxctl {

// Runs in the container's first process, with the command's ids and capabilities already taken on. Sends the launcher
// its end of each pipe. `reads_terminal`: the caller's terminal is relayed rather than replaced. `kept`: the command is
// that of a container in the background, whose streams are the launcher's: pipes of its own for 1 and 2, and for 0
// /dev/null, or a pipe if `reads_terminal`. 0 or -errno.
long prepare_streams(const Context& context, bool reads_terminal, bool kept);

// Whether `fd` is a terminal, one that was hung up included.
bool is_terminal(int fd);

}  // namespace boxctl
