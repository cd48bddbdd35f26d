// Opens sockets in a network namespace that the launcher may not enter by itself: an ordinary user's launcher has no
// rights in its own user namespace, which setns(2) asks for. A process of its own enters the user namespace to which
// the network namespace belongs, and has them there.
#pragma once

#include "../shared/fd.h"

namespace boxctl {

class SocketOpener {
 public:
  // Starts the process, which ends with this one. 0 or -errno.
  long start(int network);
  bool started() const { return socket_.valid(); }
  // As socket(2). A descriptor or -errno.
  long open(int family, int type) const;
  void clear() { socket_.reset(); }

 private:
  Fd socket_;
};

}  // namespace boxctl
