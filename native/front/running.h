// What is written down of a container in the foreground that runs for more than a moment, so that other commands find
// what it was made from (src/state/foreground.ts).
#pragma once

#include "../shared/fd.h"
#include "kept.h"

namespace boxctl {

constexpr int kRunningDelayMs = 30;

class RunningFolder {
 public:
  RunningFolder() = default;
  ~RunningFolder() { remove(); }
  RunningFolder(const RunningFolder&) = delete;
  RunningFolder& operator=(const RunningFolder&) = delete;

  // Without it the container runs all the same: a full disk, say, keeps others from looking, and nothing else.
  void make(const Kept& kept);
  void remove();

 private:
  Fd parent_;
  Fd folder_;
  Fd lock_;
  char id_[16] = {};
};

}  // namespace boxctl
