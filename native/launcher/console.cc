#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "control.h"

namespace boxctl {
namespace {

constexpr size_t kBuffer = 1 << 16;
static_assert(kBuffer > kPiece);
// The reads of one stream before the other descriptors are handled.
constexpr int kTurns = 4;
// Milliseconds without a byte after which memory is given back.
constexpr uint64_t kIdle = 1000;
// The most that is read after the end, from a pipe that a process outside of the container holds.
constexpr uint64_t kMostRest = 64 << 20;

// A buffer each for descriptors 1 and 2. The kernel allocates their pages only as they are used.
alignas(4096) char buffers[2][kBuffer];

}  // namespace

bool Console::add(uint32_t fd, Fd pipe) {
  if (!pipe.valid() || fd > 2) return false;
  if (fd == STDIN_FILENO) {
    fcntl(pipe.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
    input_ = std::move(pipe);
    return true;
  }
  fcntl(pipe.get(), F_SETFL, O_RDONLY | O_NONBLOCK);
  start(sources_[fd - 1], std::move(pipe), fd == STDOUT_FILENO ? Stream::kOut : Stream::kErr);
  return true;
}

void Console::attach(Fd master, bool with_input) {
  fcntl(master.get(), F_SETFL, O_RDWR | O_NONBLOCK);
  // Until somebody with a terminal is attached.
  winsize size = {24, 80, 0, 0};
  ioctl(master.get(), TIOCSWINSZ, &size);
  if (with_input) input_ = Fd(fcntl(master.get(), F_DUPFD_CLOEXEC, 0));
  start(sources_[0], std::move(master), Stream::kOut);
}

bool Console::blocked() const { return log_.blocked() || control_.behind(); }

long Console::give_input(const char* bytes, size_t size) const {
  return input_.valid() ? negate(write(input_.get(), bytes, size)) : -EPIPE;
}

void Console::resize(uint32_t columns, uint32_t rows) const {
  winsize size = {static_cast<unsigned short>(rows), static_cast<unsigned short>(columns), 0, 0};
  // A pipe is no terminal: ENOTTY.
  if (sources_[0].fd.valid()) ioctl(sources_[0].fd.get(), TIOCSWINSZ, &size);
}

void Console::start(Source& source, Fd fd, Stream stream) {
  source.console = this;
  source.fd = std::move(fd);
  source.stream = stream;
  source.buffer = buffers[stream == Stream::kOut ? 0 : 1];
  source.have = 0;
  drained_ = 0;
}

void Console::add_sources(Poller& poller) {
  if (was_blocked_ && !blocked()) {
    for (Source& source : sources_) source.on_readable(0);
  }
  was_blocked_ = blocked();
  if (timed_) poller.add<&Console::on_timer>(timer_.fd(), POLLIN, *this);
  if (was_blocked_) return;
  for (Source& source : sources_) poller.add<&Source::on_readable>(source.fd.get(), POLLIN, source);
}

void Console::Source::on_readable(short) {
  if (!fd.valid()) return;
  for (int turn = 0; advance(); turn++) {
    if (turn + 1 < kTurns) continue;
    // The beginning of a line would wait for the next byte, which may be long in coming.
    if (is_empty()) give(Log::Until::kPause);
    break;
  }
  console->log_.flush();
  // What blocks may end in this turn already, and what was read before must go on then as well.
  if (console->blocked()) console->was_blocked_ = true;
  console->was_used_ = true;
  if (!console->timed_) console->timed_ = console->timer_.set(kIdle);
}

// Reads once. False: there is nothing more to read for now, or nothing more is taken.
bool Console::Source::advance() {
  give(Log::Until::kPiece);
  const size_t room = kBuffer - have;
  if (console->blocked() || room == 0 || !fd.valid()) return false;
  const ssize_t size = read(fd.get(), buffer + have, room);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    give(Log::Until::kPause);
    return false;
  }
  // The end of a terminal is EIO.
  if (size <= 0) {
    end();
    return false;
  }
  console->control_.output(stream, buffer + have, static_cast<size_t>(size));
  have += static_cast<size_t>(size);
  give(Log::Until::kPiece);
  // A pipe that gives less than there is room for is empty.
  return have > 0 || static_cast<size_t>(size) == room;
}

// Nothing can be read now.
bool Console::Source::is_empty() const {
  pollfd readable = {fd.get(), POLLIN, 0};
  return poll(&readable, 1, 0) == 0;
}

void Console::Source::give(Log::Until until) {
  if (have == 0) return;
  const size_t taken = console->log_.take(stream, buffer, have, until);
  have -= taken;
  if (have > 0 && taken > 0) memmove(buffer, buffer + taken, have);
}

void Console::Source::end() {
  give(Log::Until::kEnd);
  // What a blocked log did not take is given again.
  if (have == 0) fd.reset();
}

bool Console::drain() {
  for (Source& source : sources_) {
    while (source.fd.valid()) {
      if (blocked()) return true;
      // A terminal gives a part of what it has at a time.
      if (source.advance() || (source.fd.valid() && !source.is_empty())) {
        drained_ += kBuffer;
        if (drained_ < kMostRest) continue;
      }
      if (!blocked()) source.end();
    }
  }
  input_.reset();
  log_.flush();
  return blocked();
}

void Console::on_timer(short) {
  if (!timer_.expired()) return;
  if (was_used_) {
    was_used_ = false;
    timed_ = timer_.set(kIdle);
    return;
  }
  timed_ = false;
  for (Source& source : sources_) {
    if (source.have == 0 && source.buffer != nullptr) call(SYS_madvise, source.buffer, kBuffer, MADV_DONTNEED);
  }
  log_.rest();
}

}  // namespace boxctl
