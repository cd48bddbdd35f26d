// A command that the launcher itself runs in its container, by a plan of its own: a health check, or a hook.
//
// A process is forked that walks that plan as a launcher of its own does, and the launcher is its owner: it is told
// what happens over a socket, and when the launcher is gone the process ends, and the command with it.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "../shared/list.h"
#include "events.h"
#include "plan.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

struct Context;

// What the command wrote to its descriptors 1 and 2: the first bytes. It may write any amount.
class FirstWords {
 public:
  static constexpr size_t kMost = kHealthOutput;
  // Reads what can be read without waiting, and no more than a bounded number of bytes: whoever writes may be faster.
  // False: the other end is closed.
  bool read_from(int fd);
  void clear() { bytes_.clear(); }
  const char* data() const { return bytes_.begin(); }
  size_t size() const { return bytes_.size(); }

 private:
  List<char> bytes_;  // most launchers run no such command, and have no memory for it
};

class Exec {
 public:
  // How it ended. kNone: not yet.
  enum class Way { kNone, kExited, kTimedOut, kFailed };
  Way way() const { return way_; }

  // 0 or -errno: it could not be started at all.
  long start(const PlannedExec& exec, const Context& context);
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  // Its command's exit status, or 128 plus the signal that ended it.
  uint32_t status() const { return status_; }
  // The step that failed, the error, and what the step knows of it.
  uint32_t failed_step() const { return failed_step_; }
  int32_t error() const { return error_; }
  const FirstWords& words() const { return words_; }

  void add_sources(Poller& poller);
  // Has it end, without waiting. It is not reaped: kill_children() does that.
  void abandon();

 private:
  void on_record(short happened);
  void on_output(short happened);
  void on_deadline(short happened);
  void take(const Record& record);
  void finish();

  pid_t pid_ = -1;
  Fd socket_;
  Fd output_;
  Timer deadline_;
  Way way_ = Way::kNone;
  bool asked_ = false;  // to end, since its time is over
  uint32_t status_ = 0;
  uint32_t failed_step_ = 0;
  int32_t error_ = 0;
  FirstWords words_;
};

}  // namespace boxctl
