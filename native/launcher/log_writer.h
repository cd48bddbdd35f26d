// The process that encodes a log and writes it to its files, so that a disk that is slow, or does not answer, keeps
// only this process waiting, and the launcher copies what the container wrote, not the lines of JSON for it, which are
// many times as long where the container's are short. It is made when the first bytes are to be written. When the
// launcher is killed, it writes what it was given, and ends.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shared/fd.h"
#include "log_line.h"

namespace boxctl {

// Before each batch of parts, of at most kMostBatch bytes.
struct LogBatch {
  uint64_t size;
  uint64_t lost;  // bytes of the streams, before this batch, that were not given to the writer
};
// Before the bytes of a stream that were read at one time: pieces (log_line.h), of which the last is whole, or is all
// that there is for now.
struct LogPart {
  uint64_t time;  // nanoseconds since 1970
  Stream stream;
  uint32_t size;
};
inline constexpr size_t kMostBatch = 128 * 1024;

// What is not in the log.
struct LogLoss {
  uint64_t bytes = 0;
  int error = 0;
};

class LogWriter {
 public:
  // In which folder, how large a file may become, and how many are kept. 0: no limit of the size.
  struct Files {
    int folder;
    uint64_t max_size;
    uint32_t max_files;
  };

  // 0 or -errno.
  long start(const Files& files);
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  // Where batches are written to, without waiting.
  int fd() const { return batches_.get(); }
  // There are no more batches. Waits at most so long until all are in the files.
  LogLoss finish(int ms);

 private:
  pid_t pid_ = -1;
  Fd batches_;
  Fd report_;  // the writer's last word: a LogLoss
};

}  // namespace boxctl
