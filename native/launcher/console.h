// The streams of a container in the background. What the command writes comes through pipes, or its terminal, and goes
// to the log (log.h) and to those who are attached (control.h). What they type goes to the command.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../shared/fd.h"
#include "log.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

class Control;

class Console {
 public:
  Console(Log& log, Control& control) : log_(log), control_(control) {}

  // Takes the launcher's end of the pipe that the command has as descriptor `fd`. False: `fd` is not 0, 1 or 2.
  bool add(uint32_t fd, Fd pipe);
  // Takes the master of the command's terminal.
  // `with_input`: what those who are attached type goes to it.
  void attach(Fd master, bool with_input);
  void add_sources(Poller& poller);
  // The command's input, for what is typed; -1: it has none.
  int input() const { return input_.get(); }
  // The number of bytes that were written to it, or -errno.
  long give_input(const char* bytes, size_t size) const;
  // Gives the command's terminal this size, where it has one.
  void resize(uint32_t columns, uint32_t rows) const;
  // A stream of the command's has not ended.
  bool is_open() const { return sources_[0].fd.valid() || sources_[1].fd.valid(); }
  // The last process of a run is dead. True: not everything that it wrote could be passed on yet. At the end, the
  // streams are closed.
  bool drain();

 private:
  struct Source {
    Console* console = nullptr;
    Fd fd;
    Stream stream = Stream::kOut;
    char* buffer = nullptr;
    size_t have = 0;

    void on_readable(short happened);
    bool advance();
    bool is_empty() const;
    void give(Log::Until until);
    void end();
  };

  // What is read has nowhere to go now.
  bool blocked() const;
  void start(Source& source, Fd fd, Stream stream);
  void pump(Source& source);
  void on_timer(short happened);

  Log& log_;
  Control& control_;
  Source sources_[2];
  Fd input_;  // of a terminal, another descriptor of its master
  bool was_blocked_ = false;
  bool was_used_ = false;  // since the timer was started
  bool timed_ = false;
  Timer timer_;
  uint64_t drained_ = 0;
};

}  // namespace boxctl
