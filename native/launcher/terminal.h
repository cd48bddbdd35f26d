// Carries bytes between the caller's terminal (descriptors 0 and 1) and the container's pseudo-terminal.
#pragma once

#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include "../shared/fd.h"
#include "caller_output.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

class Terminal {
 public:
  Terminal() = default;
  ~Terminal() { restore(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Takes over the relay of `master`. Without `with_input` nothing is read.
  void attach(Fd master, bool with_input);
  bool attached() const { return relays_; }
  // Puts the caller's terminal into raw mode, where descriptor 0 is one. Not before the owner has stopped drawing. In
  // the background the whole job stops here, as any program does that wants the terminal.
  void start();
  // The job is stopped: until resume() the shell has the terminal.
  void pause();
  // The job goes on. The shell may have changed the terminal's mode, so it is set again.
  void resume();
  // Gives the pseudo-terminal the size of the caller's.
  void resize();
  // Puts the caller's terminal back as it was.
  void restore();
  // The owner has ended, and its parent uses the terminal now: puts the mode back, and never uses the terminal again.
  void abandon();

  // True once after the caller's terminal was closed.
  bool was_hung_up() { return std::exchange(hung_up_, false); }

  void add_sources(Poller& poller);
  // The command has ended. False: everything that it wrote has arrived, or the caller reads no more.
  bool drain();

 private:
  void on_master(short happened);
  void on_caller(short happened);
  void on_timer(short happened);
  void on_output(short happened);
  bool copy_output();
  bool flush_output();
  void copy_input();
  ssize_t read_input();
  void flush_input();
  void end_input();
  void hang_up(bool by_terminal);

  Fd master_;
  bool relays_ = false;
  bool input_ = false;
  bool raw_ = false;
  bool paused_ = false;
  bool ended_ = false;  // a pipe or a file was the input, and is at its end
  bool hung_up_ = false;
  char last_ = '\n';  // the last character of the input
  int wait_ = 0;      // until the end is sent again, in ms
  Timer timer_;       // for `wait_`
  termios saved_ = {};
  termios raw_mode_ = {};
  size_t pending_ = 0;  // of `input`, from the caller to the terminal
  CallerOutput target_;
  size_t out_at_ = 0, out_end_ = 0;  // of `output`, from the terminal to the caller
};

}  // namespace boxctl
