// A mount namespace with next to nothing in it. A container's first process that is born in it gets a copy of few
// mounts instead of one of all the host's, each of which costs some microseconds. Only root can have one.
#pragma once

#include "../shared/fd.h"

namespace boxctl {

class LeanMounts {
 public:
  // False: it cannot be had here, and this process is as it was before. -errno in `error` where it is not: it must end.
  // Its descriptors have numbers from `lowest` on.
  bool make(int lowest, long& error);
  bool made() const { return lean_.valid(); }
  // The working directory is an empty folder then, which can be mounted on. 0 or -errno.
  long enter() const;
  // Back among the host's mounts, with `/` as the working directory. 0 or -errno: then no path may be used any more.
  long leave() const;
  void close();

 private:
  Fd host_;
  Fd lean_;
};

}  // namespace boxctl
