#include "fill.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace boxctl::image {

Filler::~Filler() { give_up(); }

Failure Filler::start() {
  const Failure failure = start_thread(thread_, run, this);
  started_ = !failure;
  return failure;
}

bool Filler::add(Fd fd, const tar::Reader& from) {
  const Lock lock(mutex_);
  while (added_ - done_ == kJobs && !ended_) pthread_cond_wait(&changed_, &mutex_);
  if (ended_) return false;
  Job& job = jobs_[added_ % kJobs];
  if (!describe(job, from)) return false;
  job.fd = std::move(fd);
  added_++;
  if (idle_ && has_work()) pthread_cond_broadcast(&changed_);
  return true;
}

bool Filler::describe(Job& job, const tar::Reader& from) {
  job.entry = from.entry();
  job.start = from.data_offset();
  job.chunks.clear();
  job.attributes.clear();
  const tar::Chunk all = {0, from.stored_size()};
  size_t count = 1;
  const tar::Chunk* const chunks = from.sparse() ? from.chunks(count) : &all;
  if (!job.chunks.add(chunks, count)) return false;
  for (size_t i = 0; i < job.entry.xattr_count; i++) {
    const tar::Xattr& xattr = job.entry.xattrs[i];
    if (!job.attributes.add(xattr.name, strlen(xattr.name) + 1) || !job.attributes.add(xattr.value, xattr.size)) {
      return false;
    }
  }
  // Only now do they lie where they stay.
  const char* at = job.attributes.begin();
  for (size_t i = 0; i < job.entry.xattr_count; i++) {
    tar::Xattr& xattr = job.entry.xattrs[i];
    xattr.name = at;
    xattr.value = at + strlen(at) + 1;
    at = xattr.value + xattr.size;
  }
  return true;
}

void Filler::pass(uint64_t position) {
  const Lock lock(mutex_);
  passed_ = position;
  if (idle_ && has_work()) pthread_cond_broadcast(&changed_);
}

void Filler::finish() {
  if (!started_) return;
  {
    const Lock lock(mutex_);
    complete_ = true;
    pthread_cond_broadcast(&changed_);
  }
  pthread_join(thread_, nullptr);
  started_ = false;
}

void Filler::give_up() {
  if (started_) stage_.abandon(ECANCELED);
  finish();
}

void* Filler::run(void* self) {
  auto& filler = *static_cast<Filler*>(self);
  filler.work();
  // The stage would wait for this reader for ever.
  if (filler.failure_) filler.stage_.abandon(ECANCELED);
  const Lock lock(filler.mutex_);
  filler.ended_ = true;
  pthread_cond_broadcast(&filler.changed_);
  return nullptr;
}

// There are enough files, or the stage needs the piece back that this reader still has.
bool Filler::has_work() const { return complete_ || added_ - done_ >= kBatch || passed_ >= position_ + kPiece; }

// Returns when all is done, when the stream has ended too early, or when something has failed.
void Filler::work() {
  for (bool complete = false; !complete;) {
    {
      const Lock lock(mutex_);
      idle_ = true;
      while (!has_work()) pthread_cond_wait(&changed_, &mutex_);
      idle_ = false;
    }
    uint64_t passed = 0;
    for (;;) {
      Job* job = nullptr;
      {
        const Lock lock(mutex_);
        if (added_ > done_) job = &jobs_[done_ % kJobs];
        complete = complete_;
        passed = complete ? UINT64_MAX : passed_;
      }
      if (job == nullptr) break;
      if (!fill(*job)) return;
      job->fd.reset();
      const Lock lock(mutex_);
      done_++;
      pthread_cond_broadcast(&changed_);
    }
    // `passed` may be older than the last file, and then lie before position_.
    if (passed > position_ && !seek(passed)) return;
  }
}

bool Filler::fail(const Failure& failure) {
  failure_ = failure;
  return false;
}

bool Filler::fill(Job& job) {
  uint64_t end = 0;
  if (!write(job, end)) return false;
  if (end != job.entry.size && ftruncate(job.fd.get(), static_cast<off_t>(job.entry.size)) != 0) {
    return fail({"the file cannot get its size", errno});
  }
  // The owner first: chown(2) takes the set-id bits and the capabilities away.
  uint32_t mode = job.entry.mode;
  Failure failure = give_owner(job.fd.get(), "", job.entry, owners_, mode, losses_);
  if (!failure) failure = give_attributes(job.fd.get(), job.entry, owners_, losses_);
  if (failure) return fail(failure);
  struct stat now;
  const bool differs = fstat(job.fd.get(), &now) != 0 || (now.st_mode & 07777) != mode;
  if (differs && fchmod(job.fd.get(), mode) != 0) return fail({"the mode cannot be set", errno});
  const struct timespec times[2] = {time_of(job.entry), time_of(job.entry)};
  if (futimens(job.fd.get(), times) != 0) return fail({"the time cannot be set", errno});
  return true;
}

// `end`: of the file, as far as it was written.
bool Filler::write(const Job& job, uint64_t& end) {
  uint64_t at = job.start;
  for (const tar::Chunk& chunk : job.chunks) {
    for (uint64_t done = 0; done < chunk.size;) {
      if (!seek(at)) return false;
      const size_t part = chunk.size - done < left_ ? static_cast<size_t>(chunk.size - done) : left_;
      const ssize_t wrote = pwrite(job.fd.get(), data_, part, static_cast<off_t>(chunk.offset + done));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return fail({"the file cannot be written", errno});
      at += static_cast<uint64_t>(wrote);
      done += static_cast<uint64_t>(wrote);
    }
    if (chunk.size > 0) end = chunk.offset + chunk.size;
  }
  return true;
}

void Filler::advance(size_t size) {
  data_ += size;
  left_ -= size;
  position_ += size;
}

// Reads on to a place in the stream that is not before position_, until there is at least one byte. False: the stream
// ends before.
bool Filler::seek(uint64_t position) {
  for (;;) {
    const uint64_t ahead = position - position_;
    if (ahead < left_) {
      advance(static_cast<size_t>(ahead));
      return true;
    }
    advance(left_);
    if (!stage_.next(reader_, data_, left_) || left_ == 0) return false;
  }
}

}  // namespace boxctl::image
