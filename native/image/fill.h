// Files get their data, owners and times on a thread of its own, while the unpacker goes on to the next entries: making
// names and writing data are about the same amount of work. The thread is one more reader of the stream, so that
// nothing has to be handed over but where a file's data lies.
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "owner.h"
#include "tar.h"

namespace boxctl::image {

class Filler {
 public:
  // `reader` of the stage is the filler's alone, and stands at the beginning of the archive.
  Filler(Stage& stage, size_t reader, const Owners& owners) : stage_(stage), reader_(reader), owners_(owners) {}
  // Gives the rest up.
  ~Filler();
  Filler(const Filler&) = delete;
  Filler& operator=(const Filler&) = delete;

  // Returns 0 or an errno.
  int start();

  // Takes a new, empty file, which the entry of `from` describes, none of whose data has been read. False: see error(),
  // or else there is no memory.
  bool add(int fd, const tar::Reader& from);
  // What comes before this place of the stream and was not added is nobody's.
  void pass(uint64_t position);
  // Waits until all that was added is done, or something has failed.
  void finish();
  // Waits for no more than what is being done.
  void give_up();

  // After either.
  const Losses& losses() const { return losses_; }
  // One sentence or null, the entry that it is about, and an errno or 0.
  const char* error() const { return error_; }
  const char* entry() const { return jobs_[done_ % kJobs].entry.path; }
  int error_number() const { return errno_; }

 private:
  struct Job {
    int fd = -1;
    tar::Entry entry;
    uint64_t start = 0;  // of the data in the stream
    tar::Chunk* chunks = nullptr;
    size_t chunk_count = 0;
    char* attributes = nullptr;  // what the entry's point to
  };
  // Each holds a file open.
  static constexpr size_t kJobs = 24;
  // To wake the thread for every file would take longer than many a file does.
  static constexpr size_t kBatch = 8;

  static void* run(void* self);
  void work();
  bool has_work() const;
  bool fill(Job& job);
  bool write(const Job& job, uint64_t& end);
  bool seek(uint64_t position);
  void advance(size_t size);
  bool fail(const char* why, int number);
  static bool describe(Job& job, const tar::Reader& from);
  static void release(Job& job);

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
  const char* error_ = nullptr;
  int errno_ = 0;
};

}  // namespace boxctl::image
