// The folder of a container in the background, as src/state/container-folders.ts makes it, under the same locks.
#pragma once

#include "../shared/fd.h"
#include "kept.h"

namespace boxctl {

class Background {
 public:
  enum class Claim {
    kTaken,  // the name is this process's
    kSame,   // a container that runs has it, and is what would be started
    kNode,   // Node has to see to it: another container has it, or another command is at it
  };
  Claim claim(const Kept& kept);
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
