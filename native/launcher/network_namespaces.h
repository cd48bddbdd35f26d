// Opens sockets in other network namespaces. A socket stays in the namespace in which it was made, so the launcher
// enters the namespace for that one call.
#pragma once

#include <stddef.h>

#include "../shared/fd.h"
#include "socket_opener.h"

namespace boxctl {

class NetworkNamespaces {
 public:
  static constexpr int kOwn = -1;

  // Copies the descriptor of a namespace. Returns the number of the namespace for `open`, or -errno.
  int add(int fd);
  // Closes all descriptors: an open one would keep its namespace alive.
  void clear();
  // Returns a new socket, non-blocking and closed on exec, or -errno. kOwn: a socket in the launcher's own namespace.
  long open(int number, int family, int type);

 private:
  // A container has one: its relays to the host's name servers use the launcher's own.
  static constexpr size_t kMost = 8;
  long enter(size_t number);
  void leave();

  Fd own_;  // the launcher's, to return to
  Fd others_[kMost];
  SocketOpener openers_[kMost];  // started for namespaces that the launcher may not enter itself
  size_t count_ = 0;
};

}  // namespace boxctl
