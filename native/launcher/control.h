// Orders from others than the process that started the launcher: from boxctl's later commands, over a socket in a
// folder that is the user's alone. A connection is also how they wait: it is closed when the launcher ends, and events
// that matter to them are sent to it. One that is attached gets what the command writes, and sends what it is to read.
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "events.h"
#include "log_line.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

class Console;

class Control {
 public:
  // A connection that no more are accepted beside: each has an entry in the poller's table.
  static constexpr size_t kMostClients = 16;
  using Handler = void (*)(void* owner, const Order& order);

  // `user`: who may connect, beside root. `console`: where the input of those who are attached goes.
  void start(uid_t user, void* owner, Handler handler, Console* console);
  // 0 or -errno.
  long listen(int dirfd, const char* name);
  bool listens() const { return listener_.valid(); }
  void add_sources(Poller& poller);
  // Sends the event to every connection that can take it now.
  void tell(const Record& event);

  // Sends what the command has written to all that are attached. Not to be called while they are behind.
  void output(Stream stream, const char* bytes, size_t size);
  // One that is attached has not taken all yet. It is cut off if it takes nothing for a while.
  bool behind() const;

 private:
  struct Client {
    Control* control = nullptr;
    Fd fd;
    bool attached = false;
    bool gives_input = false;
    // What it has not taken yet, in a buffer of its own.
    Stream stream = Stream::kOut;
    char* output = nullptr;
    size_t output_at = 0, output_size = 0;
    // What the command has not read yet.
    char* input = nullptr;
    size_t input_at = 0, input_size = 0;
    // Its input was passed on, and it has not been told yet: nothing more could be sent to it.
    bool owes_word = false;

    void on_message(short happened);
    void take_input(const char* bytes, size_t size);
    void pass_input();
    bool wants_room() const { return output_size > 0 || owes_word; }
    void send_word();
    bool send_output();
    void leave();
  };
  void on_connection(short happened);
  void accept_next();
  bool is_full() const;
  void on_input_room(short happened);
  void on_timer(short happened);

  uid_t user_ = 0;
  void* owner_ = nullptr;
  Handler handler_ = nullptr;
  Console* console_ = nullptr;
  Fd listener_;
  int starved_ = 0;  // the error for which a connection could not be accepted, and waits
  Client clients_[kMostClients];
  Timer patience_;
};

}  // namespace boxctl
