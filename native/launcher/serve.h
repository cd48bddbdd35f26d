// The launcher that is already there: told over a socket to start plans (native/wire/serve.h). It never sees a plan. It
// only makes processes, each of which waits for one request and then is that container's launcher, as if it had been
// started for it: what a launcher holds of its container no other one ever has.
#pragma once

namespace boxctl {

// Returns when the socket's other side has gone, or where it cannot serve. The launchers go on, each until its own
// owner ends it.
void serve(int socket);

}  // namespace boxctl
