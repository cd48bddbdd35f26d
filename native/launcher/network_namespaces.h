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

  // The number by which `open` knows the namespace; the descriptor is copied. Less than 0: -errno.
  int add(int fd);
  // Closes all: a namespace ends when nobody holds it.
  void clear();
  // A socket, non-blocking and closed on exec, or -errno. kOwn: in the namespace that the launcher is in.
  long open(int number, int family, int type);

 private:
  // A container has one, and its relays to the host's resolver have none.
  static constexpr size_t kMost = 8;
  long enter(size_t number);
  void leave();

  Fd own_;  // to return to
  Fd others_[kMost];
  SocketOpener openers_[kMost];  // of those that the launcher may not enter itself
  size_t count_ = 0;
};

}  // namespace boxctl
