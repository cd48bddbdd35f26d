// What a worker of images says: lines of JSON on kReportFd. The last one is the outcome; those before it are
// `{"read":N,"entries":N}`, from time to time: the bytes of the archive that have been read, and what has been
// unpacked.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <atomic>

#include "../shared/failure.h"
#include "../wire/descriptors.h"

namespace boxctl::image {

// Counted by the thread that unpacks, reported by the one that reads the archive.
inline std::atomic<uint64_t> entries_done{0};

// One object, written as a line by `send`. Keys are the caller's own and need no escaping.
class Report {
 public:
  Report();
  ~Report();
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  void number(const char* key, uint64_t value);
  void text(const char* key, const char* value);
  void flag(const char* key);
  // A list of texts is opened, filled with items, and closed.
  void open_list(const char* key);
  void item(const char* value);
  void close_list();
  void send(int fd = kReportFd);

 private:
  void key(const char* name);
  char* text_ = nullptr;
  size_t size_ = 0;
  FILE* out_;
  bool first_ = true;
  bool first_item_ = true;
};

// {"error":sentence,"entry":path,"errno":N}; with `image`, and `hint` where there is one for the sentence (foreign.h).
void report_failure(const Failure& failure, const char* entry, bool image = false);

}  // namespace boxctl::image
