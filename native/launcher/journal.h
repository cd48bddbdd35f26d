// A log that systemd's journal keeps, by its native protocol: a datagram for each piece, or a memory file where the
// datagram would be too large.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../shared/fd.h"
#include "log_line.h"

namespace boxctl {

class Journal {
 public:
  // `path`: the journal's socket. `name` and `id` are the container's. 0 or -errno.
  long open(const char* path, const char* name, const char* id);
  bool valid() const { return socket_.valid(); }
  int fd() const { return socket_.get(); }
  // `partial`: the line goes on in the next one. 0, -EAGAIN, or another error with which it is lost.
  long send(Stream stream, const char* text, size_t size, bool partial);

 private:
  long connect_again();
  long send_once(const char* fields, size_t size, const char* text, size_t text_size) const;

  Fd socket_;
  char path_[108] = {};
  char name_[128] = {};
  char id_[16] = {};
};

}  // namespace boxctl
