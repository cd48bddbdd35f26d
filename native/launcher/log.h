// What a container in the background writes, kept by one of three drivers: files of JSON lines, systemd's journal, or
// none. It goes on from one run of the container to the next. Nothing here waits: a log that takes no more holds the
// container's streams up for a while, and then loses what they write, which is counted and told.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "events.h"
#include "journal.h"
#include "log_line.h"
#include "log_writer.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

class Log {
 public:
  // Each chooses the driver. 0 or -errno.
  long keep_in_files(int folder, uint64_t max_size, uint64_t max_files);
  long keep_in_journal(const char* path, const char* name, const char* id);
  long keep_nothing();
  // The container is one in the background: its streams are the launcher's.
  bool is_chosen() const { return driver_ != Driver::kUnset; }

  // How much is taken of bytes that are not the last ones: whole pieces; also the beginning of a line, when the next
  // bytes may be long in coming; or everything, at the end of the stream.
  enum class Until { kPiece, kPause, kEnd };
  // The number of bytes that were taken. The rest is to be given again, with what follows it.
  size_t take(Stream stream, const char* bytes, size_t size, Until until);
  // Gives what was taken to the driver.
  void flush();
  // Nothing more is taken for now.
  bool blocked() const { return waits_ && !stalled_; }
  void add_sources(Poller& poller);
  // Gives memory back that the next bytes will need again.
  void rest();
  // The process that writes the files, a child of the launcher; -1: there is none.
  pid_t writer() const { return writer_.pid(); }

  // The last run has ended. Waits until everything is written, and tells what was lost. A disk that does not answer is
  // waited for as long as the streams would be.
  void finish(Events& events);

 private:
  enum class Driver { kUnset, kNone, kFiles, kJournal };

  size_t take_lines(Stream stream, const char* bytes, size_t size, Until until);
  size_t take_messages(Stream stream, const char* bytes, size_t size, Until until);
  void write_batch();
  void begin_batch();
  void await_room();
  void lose_batch(int error);
  void tell_journal();
  void on_room(short happened);
  void on_timer(short happened);

  Driver driver_ = Driver::kUnset;
  Fd folder_;
  LogWriter::Files files_ = {};
  LogWriter writer_;
  Journal journal_;
  size_t used_ = 0;      // of the batch that is being filled
  uint64_t raw_ = 0;     // the bytes of streams in it
  bool sealed_ = false;  // the batch is being written
  size_t at_ = 0;        // how much of it is
  bool waits_ = false;
  bool stalled_ = false;
  Timer timer_;
  uint64_t lost_ = 0;  // bytes, since it was told the last time
  uint64_t told_ = 0;  // bytes of which the journal was told
  int error_ = 0;
};

}  // namespace boxctl
