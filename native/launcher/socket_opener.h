// Opens sockets in a network namespace that the launcher may not enter itself. setns(2) into a network namespace needs
// CAP_SYS_ADMIN in the caller's own user namespace, too, which an ordinary user's launcher does not have. A second
// process enters the user namespace that owns the network namespace, and has the capability there.
#pragma once

#include "../shared/fd.h"

namespace boxctl {

class SocketOpener {
 public:
  // Starts the second process, which ends with this one. Returns 0 or -errno.
  long start(int network);
  bool started() const { return socket_.valid(); }
  // socket(2) in the network namespace. Returns a descriptor or -errno.
  long open(int family, int type) const;
  void clear() { socket_.reset(); }

 private:
  Fd socket_;
};

}  // namespace boxctl
