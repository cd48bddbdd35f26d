#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

namespace boxctl {

uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

namespace {

// What a command that waits for the container has to know at once.
bool is_turning_point(Event kind) {
  return kind == Event::kStarted || kind == Event::kExited || kind == Event::kSignaled || kind == Event::kFailed ||
         kind == Event::kRestarting || kind == Event::kHook || kind == Event::kHealth;
}

constexpr int kKeptRuns = 4;

bool goes_without_saying(const Record& event) {
  return event.kind == Event::kDone || event.kind == Event::kSkipped || event.kind == Event::kBegun ||
         (event.kind == Event::kUndo && event.error == 0);
}

}  // namespace

long Events::keep_in(int file, int folder) {
  file_ = Fd(fcntl(file, F_DUPFD_CLOEXEC, 0));
  folder_ = Fd(fcntl(folder, F_DUPFD_CLOEXEC, 0));
  return file_.valid() && folder_.valid() ? 0 : -errno;
}

// Without a new file (ENOSPC, ENFILE), the old one goes on: readers begin at its last Event::kRun.
void Events::begin_run(uint32_t restarts) {
  flush();
  constexpr int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
  Fd fresh(folder_.valid() ? openat(folder_.get(), "events.new", flags, 0600) : -1);
  if (fresh.valid()) {
    for (int run = kKeptRuns; run > 0; run--) {
      char from[] = "events.0";
      char to[] = "events.0";
      from[sizeof from - 2] = static_cast<char>('0' + run - 1);
      to[sizeof to - 2] = static_cast<char>('0' + run);
      call(SYS_renameat2, folder_.get(), run == 1 ? "events" : from, folder_.get(), to, 0);
    }
    call(SYS_renameat2, folder_.get(), "events.new", folder_.get(), "events", 0);
    file_ = std::move(fresh);
    health_ = 0;
  }
  add({Event::kRun, restarts, 0, 0, 0, wall_clock_ms()});
}

uint64_t wall_clock_ms() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

void Events::add(const Record& record) {
  if (terse_ && goes_without_saying(record)) return;
  if (count_ == sizeof records_ / sizeof *records_) flush();
  records_[count_++] = record;
}

void Events::refuse(int error) {
  add({Event::kRefused, 0, error, 0, 0, 0});
  flush();
}

void Events::flush() {
  const char* bytes = reinterpret_cast<const char*>(records_);
  const size_t size = count_ * sizeof(Record);
  if (file_.valid()) write_all(bytes, size);
  for (size_t i = 0; i < count_; i++) health_ += records_[i].kind == Event::kHealth;
  if (socket_ >= 0) send_all(bytes, size);
  // After they are in the file, where who is told of them looks.
  for (size_t i = 0; i < count_ && listener_ != nullptr; i++) {
    if (is_turning_point(records_[i].kind)) listener_(context_, records_[i]);
  }
  count_ = 0;
  if (file_.valid() && health_ > kMostHealth) forget_health();
}

// Writes the file anew without the first half of its changes of health. Where that fails, it is tried at the next one.
void Events::forget_health() {
  constexpr int flags = O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
  const Fd old(openat(folder_.get(), "events", O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  Fd fresh(openat(folder_.get(), "events.new", flags, 0600));
  if (!old.valid() || !fresh.valid()) return;
  size_t seen = 0;
  for (off_t at = 0;;) {
    const ssize_t got = pread(old.get(), records_, sizeof records_, at);
    if (got < 0) return;
    const size_t records = static_cast<size_t>(got) / sizeof(Record);
    if (records == 0) break;
    at += static_cast<off_t>(records * sizeof(Record));
    size_t kept = 0;
    for (size_t i = 0; i < records; i++) {
      const bool is_old = records_[i].kind == Event::kHealth && seen++ < kMostHealth / 2;
      if (!is_old) records_[kept++] = records_[i];
    }
    const auto size = static_cast<ssize_t>(kept * sizeof(Record));
    // On a full disk, the old one goes on.
    if (write(fresh.get(), records_, static_cast<size_t>(size)) != size) return;
  }
  if (call(SYS_renameat2, folder_.get(), "events.new", folder_.get(), "events", 0) != 0) return;
  file_ = std::move(fresh);
  health_ -= kMostHealth / 2;
}

void Events::send_all(const char* at, size_t left) const {
  while (left > 0) {
    const ssize_t sent = send(socket_, at, left, MSG_NOSIGNAL);
    if (sent > 0) {
      at += sent;
      left -= static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      // The owner may have made the socket non-blocking on its side of the same description.
      pollfd wait = {socket_, POLLOUT, 0};
      poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

// A full disk must not keep the launcher from its other duties: what does not fit is lost.
void Events::write_all(const char* at, size_t left) const {
  while (left > 0) {
    const ssize_t wrote = write(file_.get(), at, left);
    if (wrote <= 0 && errno != EINTR) return;
    if (wrote <= 0) continue;
    at += wrote;
    left -= static_cast<size_t>(wrote);
  }
}

}  // namespace boxctl
