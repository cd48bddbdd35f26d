// A number of addresses for a container, which is claimed as src/state/addresses.ts claims it.
#pragma once

#include "../shared/fd.h"
#include "kept.h"

namespace boxctl {

class AddressClaim {
 public:
  // Claims the first free number of the plan. False: Node has to look for one.
  bool take(Kept& kept);
  // Holds the claim as long as a process has it open. -1: nothing was claimed.
  int fd() const { return file_.get(); }
  // Others may have the number from now on.
  void give_up();

 private:
  enum class Taken { kYes, kNo, kSoon };
  Taken take_free(Kept& kept);
  Taken take_number(const Kept& kept, uint32_t number);

  Fd claims_;
  Fd file_;
  char name_[16] = {};
};

}  // namespace boxctl
