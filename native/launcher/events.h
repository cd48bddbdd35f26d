// The launcher's reports to its owner: records (native/wire/events.h) over the control socket, collected and sent in
// one call at each handover. src/launcher/launch.ts reads them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../wire/events.h"

namespace boxctl {

uint64_t now_ns();

class Events {
 public:
  explicit Events(int socket) : socket_(socket) {}
  void add(const Record& record);
  // Events for an owner that has ended are dropped: the supervisor sees its end by itself.
  void flush();

 private:
  int socket_;
  size_t count_ = 0;
  Record records_[128];
};

}  // namespace boxctl
