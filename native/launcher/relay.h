// Relays bytes between the caller's descriptors 0, 1 and 2 and the pipes that the command has instead of them
// (streams.h). Nothing here blocks: what cannot be read or written now is left to the next poll(2).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "caller_output.h"
#include "poller.h"

namespace boxctl {

// Relays the caller's descriptor 0 to the command. If the command reads nothing, the caller's input stays as it was:
// the first page is copied to the command (lent), and removed from the caller's input only when the command has read
// it.
class Input {
 public:
  void start(Fd pipe);
  bool active() const { return pipe_.valid(); }
  // `paused`: the job is in the background, where a terminal is not read.
  void add_sources(Poller& poller, bool paused);
  // To be called when the command has ended. Gives back what it did not read, where that is possible.
  void finish();

 private:
  enum class Phase { kFirst, kLent, kFlowing };

  void on_pipe(short happened);
  void on_caller(short happened);
  void lend();
  void flow();
  bool splice_some();
  bool copy_some();
  void take(size_t size);
  ssize_t read_some(char* bytes, size_t size);
  void flush();
  size_t unread() const;

  Fd pipe_;  // the writing end
  Fd own_;   // the caller's terminal, opened again for reads that do not wait; not valid: descriptor 0 is read
  StreamKind kind_ = StreamKind::kOther;
  Phase phase_ = Phase::kFirst;
  size_t lent_ = 0;
  bool full_ = false;
  size_t pending_ = 0;
  size_t at_ = 0;
};

// Relays the command's output to the caller's descriptor 1 or 2.
class Output {
 public:
  void start(Fd pipe, int target);
  bool active() const { return pipe_.valid(); }
  void add_sources(Poller& poller);
  // Passes on all that can be passed on without waiting. False: nothing is left.
  bool advance();
  // Drops what was not written. The command's next write fails with EPIPE.
  void stop();
  // The error with which bytes were lost, or 0. A reader that has closed its end (EPIPE) is no error.
  int error() const { return error_; }

 private:
  void on_target(short happened);
  void on_pipe(short happened);
  void carry();
  bool move();
  bool splice_some();
  bool copy_some();
  bool lose(int error);

  Fd pipe_;  // the reading end
  CallerOutput target_;
  bool splices_ = false;
  bool blocked_ = false;  // until the caller's side takes more
  int error_ = 0;
  size_t pending_ = 0;
  size_t at_ = 0;
  char* buffer_ = nullptr;
};

class Relay {
 public:
  // Takes the launcher's end of the pipe that the command has as descriptor `fd`. False: `fd` is not 0, 1 or 2.
  bool add(uint32_t fd, Fd pipe);
  // Whether the caller's descriptor is still needed.
  bool uses(int fd) const;
  // While the job is stopped, a terminal is not read.
  void pause(bool pauses) { paused_ = pauses; }

  void add_sources(Poller& poller);
  // To be called when the command has ended. False: all that it wrote was passed on.
  bool drain();
  void abandon();
  int error(int fd) const { return fd == 1 ? out_.error() : err_.error(); }

 private:
  Input in_;
  Output out_;
  Output err_;
  bool paused_ = false;
};

}  // namespace boxctl
