// The folder of a container in the background, as src/state/container-folders.ts makes it, under the same locks.
#pragma once

#include "../shared/fd.h"
#include "kept.h"

namespace boxctl {

class Background {
 public:
  // Takes the container's name. False: Node has to do so, since a container has the name, or another command is at it.
  bool claim(const Kept& kept);
  // Makes the folder, for the id of the plan. False: nothing of it is there.
  bool make(const Kept& kept);
  // Its lock, which the launcher is to keep; -1: there is none.
  int lock() const { return lock_.get(); }
  // The container was not started: gives the folder the name under which it is removed.
  void give_up(const Kept& kept);

 private:
  Fd name_;    // locked until this process ends: nobody else brings a container of the name up or down
  Fd names_;   // locked while it is seen that nobody has the name, and the folder is made
  Fd parent_;  // the folder of all of them
  Fd lock_;
};

}  // namespace boxctl
