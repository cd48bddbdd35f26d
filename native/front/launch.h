// A launcher as a child of this process, as Node has one (native/addon/spawn.cc), and what happens then.
#pragma once

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "../shared/list.h"
#include "../wire/events.h"
#include "kept.h"

namespace boxctl {

struct Launch {
  pid_t pid = -1;
  Fd socket;
  Fd plan;         // sealed
  int lock = -1;   // of a container in the background, whose launcher keeps it
  int claim = -1;  // of addresses, which the launcher keeps, too
};

// Starts the launcher that lies in `folder`. 0 or -errno: then nothing was started.
long start_launcher(const Kept& kept, const Path& folder, Launch& launch);

// Lets a launcher go on that waits before it changes anything outside (kFlagHeld).
void release(const Launch& launch);

// Ends one that waits there, and all that it has made.
void refuse(Launch& launch);

enum class Course {
  kPlain,   // the command exited: there is nothing to say
  kNotRun,  // a step failed before the command ran, and all was undone
  kTold,    // it ended in another way, which needs words
  kLeft,    // the command runs, and the launcher is on its own
};

struct Result {
  Course course = Course::kTold;
  uint32_t status = 0;
  List<Record> records;
};

// Has somebody tell of what was recorded while the container runs. The process that does so, or -1.
class Teller {
 public:
  virtual pid_t tell(const List<Record>& records) const = 0;

 protected:
  ~Teller() = default;
};

// Follows the launcher to its end. `signals`: all that this process gets, which the container gets in turn.
Result follow(const Kept& kept, const Launch& launch, int signals, const Teller& teller);

}  // namespace boxctl
