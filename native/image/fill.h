// The data of files is written on a thread of its own, while the unpacker goes on to the next entries: making names and
// writing data take about the same time. The thread is one more reader of the stage that has the archive. So no data is
// handed over: a job says where in the stream the data of a file lies, and the thread reads up to there.
//
// The unpacker must not wait for the stage while the stage waits for this thread, and this thread for the unpacker:
// pass() lets the thread go on past data that belongs to no file.
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "../shared/failure.h"
#include "../shared/fd.h"
#include "../shared/list.h"
#include "flow.h"
#include "owner.h"
#include "tar.h"

namespace boxctl::image {

class Filler {
 public:
  // `reader` of the stage is the filler's alone, and stands at the beginning of the archive.
  Filler(Stage& stage, size_t reader, const Owners& owners) : stage_(stage), reader_(reader), owners_(owners) {}
  ~Filler();
  Filler(const Filler&) = delete;
  Filler& operator=(const Filler&) = delete;

  Failure start();

  // Takes a new, empty file, which the entry of `from` describes, none of whose data has been read. False: see
  // failure(), or else there is no memory.
  bool add(Fd fd, const tar::Reader& from);
  // No file that is added later has data before this place of the stream.
  void pass(uint64_t position);
  // Waits until all that was added is done, or something has failed.
  void finish();
  // Leaves out what was added and not begun, and waits for the rest.
  void give_up();

  // After finish() or give_up().
  const Losses& losses() const { return losses_; }
  const Failure& failure() const { return failure_; }
  // What a failure is about.
  const char* entry() const { return jobs_[done_ % kJobs].entry.path; }

 private:
  struct Job {
    Fd fd;
    tar::Entry entry;
    uint64_t start = 0;  // of the data in the stream
    List<tar::Chunk> chunks;
    List<char> attributes;  // what the entry's point to
  };
  // So many files are open at a time.
  static constexpr size_t kJobs = 24;
  // The thread is woken for so many files at once: waking it takes longer than writing a small file.
  static constexpr size_t kBatch = 8;

  static void* run(void* self);
  void work();
  bool has_work() const;
  bool fill(Job& job);
  bool write(const Job& job, uint64_t& end);
  bool seek(uint64_t position);
  void advance(size_t size);
  bool fail(const Failure& failure);
  static bool describe(Job& job, const tar::Reader& from);

  Stage& stage_;
  const size_t reader_;
  const Owners& owners_;
  pthread_t thread_ = {};
  bool started_ = false;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed_ = PTHREAD_COND_INITIALIZER;
  Job jobs_[kJobs];
  uint64_t added_ = 0;  // jobs so far; the next goes into place added_ % kJobs
  uint64_t done_ = 0;
  uint64_t passed_ = 0;
  bool idle_ = false;
  bool complete_ = false;  // nothing more is added
  bool ended_ = false;     // the thread takes nothing more

  // The thread's own until it has ended.
  const uint8_t* data_ = nullptr;  // the rest of the present piece
  size_t left_ = 0;
  uint64_t position_ = 0;  // of data_ in the stream
  Losses losses_;
  Failure failure_;
};

}  // namespace boxctl::image
