#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

namespace boxctl {
namespace {

// Milliseconds without progress after which bytes are lost rather than the container held up.
constexpr int kPatience = 5000;
static_assert(kPiece + sizeof(LogPart) <= kMostBatch);

struct Batch {
  LogBatch header;
  char parts[kMostBatch];
};
// The kernel allocates its pages only as they are used.
alignas(4096) Batch batch;

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// How many of the bytes are given to the writer at once: the lines that are whole, or else one piece.
size_t part_of(const char* bytes, size_t size, Log::Until until) {
  const void* const end = memrchr(bytes, '\n', size);
  if (end != nullptr) return static_cast<size_t>(static_cast<const char*>(end) - bytes) + 1;
  if (size >= kPiece) return whole_characters(bytes, kPiece);
  if (until == Log::Until::kPiece) return 0;
  return until == Log::Until::kEnd ? size : whole_characters(bytes, size);
}

}  // namespace

long Log::keep_in_files(int folder, uint64_t max_size, uint64_t max_files) {
  folder_ = Fd(fcntl(folder, F_DUPFD_CLOEXEC, 0));
  if (!folder_.valid()) return -errno;
  if (max_files < 1 || max_files > 1'000'000) return -EINVAL;
  files_ = {folder_.get(), max_size, static_cast<uint32_t>(max_files)};
  driver_ = Driver::kFiles;
  return 0;
}

long Log::keep_in_journal(const char* path, const char* name, const char* id) {
  driver_ = Driver::kJournal;
  return journal_.open(path, name, id);
}

long Log::keep_nothing() {
  driver_ = Driver::kNone;
  return 0;
}

size_t Log::take(Stream stream, const char* bytes, size_t size, Until until) {
  if (driver_ == Driver::kNone || size == 0) return size;
  if (stalled_) {
    lost_ += size;
    return size;
  }
  return driver_ == Driver::kFiles ? take_lines(stream, bytes, size, until) : take_messages(stream, bytes, size, until);
}

// ---- Files ----------------------------------------------------------------------------------------------------------

size_t Log::take_lines(Stream stream, const char* bytes, size_t size, Until until) {
  LogPart part = {now(), stream, 0};
  size_t done = 0;
  while (done < size) {
    if (!sealed_ && kMostBatch - used_ < sizeof part + kPiece) flush();
    if (sealed_) break;
    const size_t room = kMostBatch - used_ - sizeof part;
    const size_t left = size - done;
    // What does not fit now goes on.
    part.size =
        static_cast<uint32_t>(part_of(bytes + done, left < room ? left : room, left < room ? until : Until::kPiece));
    if (part.size == 0) break;
    memcpy(batch.parts + used_, &part, sizeof part);
    memcpy(batch.parts + used_ + sizeof part, bytes + done, part.size);
    used_ += sizeof part + part.size;
    raw_ += part.size;
    done += part.size;
  }
  return done;
}

void Log::flush() {
  if (driver_ != Driver::kFiles || sealed_ || used_ == 0) return;
  batch.header = {used_, lost_};
  lost_ = 0;
  at_ = 0;
  sealed_ = true;
  write_batch();
}

// Writes what the pipe to the writer takes.
void Log::write_batch() {
  bool is_new = false;
  while (sealed_) {
    if (!writer_.running()) {
      if (const long error = writer_.start(files_); error != 0) return lose_batch(static_cast<int>(-error));
      is_new = true;
    }
    const char* const from = reinterpret_cast<const char*>(&batch) + at_;
    const ssize_t wrote = write(writer_.fd(), from, sizeof batch.header + used_ - at_);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) return await_room();
    if (wrote < 0) {
      // The writer was killed. A new one gets all of the batch.
      const int error = errno;
      writer_.finish(0);
      if (is_new) return lose_batch(error);
      at_ = 0;
      continue;
    }
    at_ += static_cast<size_t>(wrote);
    if (waits_) await_room();
    if (at_ == sizeof batch.header + used_) begin_batch();
  }
}

void Log::begin_batch() {
  used_ = 0;
  raw_ = 0;
  sealed_ = false;
  waits_ = false;
  stalled_ = false;
}

void Log::lose_batch(int error) {
  error_ = error;
  lost_ += batch.header.lost + raw_;
  begin_batch();
}

// From now on, the driver has so long for its next progress.
void Log::await_room() {
  waits_ = true;
  // Without a timer the streams would be held up for ever.
  if (!stalled_ && !timer_.set(kPatience)) stalled_ = true;
}

// ---- The journal ----------------------------------------------------------------------------------------------------

size_t Log::take_messages(Stream stream, const char* bytes, size_t size, Until until) {
  tell_journal();
  size_t done = 0;
  while (done < size && !waits_) {
    const size_t left = size - done < kPiece ? size - done : kPiece;
    const void* const end = memchr(bytes + done, '\n', left);
    const size_t line = end == nullptr ? left : static_cast<size_t>(static_cast<const char*>(end) - (bytes + done)) + 1;
    const bool whole = end != nullptr || line == kPiece;
    if (!whole && until == Until::kPiece) break;
    const long sent = journal_.send(stream, bytes + done, line, end == nullptr);
    if (sent == -EAGAIN) {
      await_room();
      break;
    }
    if (sent != 0) {
      lost_ += line;
      error_ = static_cast<int>(-sent);
    }
    done += line;
  }
  return done;
}

// That bytes were lost, once it can be told.
void Log::tell_journal() {
  if (lost_ == told_ || waits_) return;
  char text[96];
  const int size = snprintf(text, sizeof text, "boxctl: %llu bytes of the output are not in the journal",
                            static_cast<unsigned long long>(lost_ - told_));
  if (size > 0 && journal_.send(Stream::kErr, text, static_cast<size_t>(size), false) == 0) told_ = lost_;
}

// ---- Waiting --------------------------------------------------------------------------------------------------------

void Log::add_sources(Poller& poller) {
  if (!waits_) return;
  poller.add<&Log::on_room>(driver_ == Driver::kFiles ? writer_.fd() : journal_.fd(), POLLOUT, *this);
  if (!stalled_) poller.add<&Log::on_timer>(timer_.fd(), POLLIN, *this);
}

void Log::on_room(short) {
  if (driver_ == Driver::kFiles) return write_batch();
  waits_ = false;
  stalled_ = false;
}

void Log::on_timer(short) {
  if (!timer_.expired() || !waits_) return;
  stalled_ = true;
  error_ = ETIMEDOUT;
}

void Log::rest() {
  if (used_ == 0) call(SYS_madvise, &batch, sizeof batch, MADV_DONTNEED);
}

void Log::finish(Events& events) {
  flush();
  while (blocked()) {
    pollfd room = {driver_ == Driver::kFiles ? writer_.fd() : journal_.fd(), POLLOUT, 0};
    const int ready = poll(&room, 1, kPatience);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    on_room(room.revents);
  }
  if (sealed_) lose_batch(ETIMEDOUT);
  const LogLoss loss = writer_.finish(kPatience);
  const uint64_t bytes = loss.bytes + lost_;
  const int error = loss.error != 0 ? loss.error : error_;
  lost_ = 0;
  if (bytes > 0 || loss.error != 0) events.add({Event::kOutputLost, 0, error, 0, bytes, 0});
}

}  // namespace boxctl
