#include "log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../shared/directory.h"
#include "../shared/syscalls.h"
#include "log_line.h"

namespace boxctl {
namespace {

constexpr int kPipeSize = 1 << 20;
constexpr unsigned kDigits = 8;

// The writer's descriptors.
constexpr int kFolderFd = 0, kBatchesFd = 1, kReportFd = 2;

char batch[kMostBatch];
// Encoded.
char lines[kMostBatch + most_encoded(kPiece)];

// `00000001.json`: in their order, as a listing sorts them. 0: the name is another.
uint64_t number_of(const char* name) {
  if (strlen(name) != kDigits + 5 || strcmp(name + kDigits, ".json") != 0) return 0;
  uint64_t number = 0;
  for (unsigned i = 0; i < kDigits; i++) {
    if (name[i] < '0' || name[i] > '9') return 0;
    number = number * 10 + static_cast<uint64_t>(name[i] - '0');
  }
  return number;
}

struct FileName {
  char text[32];
  explicit FileName(uint64_t number) {
    snprintf(text, sizeof text, "%08llu.json", static_cast<unsigned long long>(number));
  }
};

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// The end of the last line of `bytes`, or 0.
size_t end_of_lines(const char* bytes, size_t size) {
  while (size > 0 && bytes[size - 1] != '\n') size--;
  return size;
}

size_t end_of_first_line(const char* bytes, size_t size) {
  const void* const end = memchr(bytes, '\n', size);
  return end == nullptr ? size : static_cast<size_t>(static_cast<const char*>(end) - bytes) + 1;
}

uint64_t decoded_lines(const char* bytes, size_t size) {
  uint64_t sum = 0;
  while (size > 0) {
    const size_t line = end_of_first_line(bytes, size);
    sum += decoded_size(bytes, line);
    bytes += line;
    size -= line;
  }
  return sum;
}

class Writer {
 public:
  Writer(uint64_t max_size, uint32_t max_files) : max_size_(max_size), max_files_(max_files) {}

  [[noreturn]] void run() {
    LogBatch header;
    while (read_all(&header, sizeof header) == sizeof header && header.size <= sizeof batch) {
      untold_ += header.lost;
      // The last batch of a launcher that was killed may be cut off.
      write_parts(batch, read_all(batch, header.size));
    }
    tell_loss();
    total_.bytes += untold_;
    // The launcher may have ended.
    const ssize_t wrote = write(kReportFd, &total_, sizeof total_);
    _exit(wrote == sizeof total_ ? 0 : 1);
  }

 private:
  static size_t read_all(void* to, size_t size) {
    size_t done = 0;
    while (done < size) {
      const ssize_t got = read(kBatchesFd, static_cast<char*>(to) + done, size - done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  void write_parts(const char* bytes, size_t size) {
    size_t used = 0;
    for (LogPart part; size >= sizeof part;) {
      memcpy(&part, bytes, sizeof part);
      bytes += sizeof part;
      size -= sizeof part;
      const TimeText time = time_text(part.time);
      size_t left = part.size < size ? part.size : size;
      size -= left;
      while (left > 0) {
        const Encoded piece = encode_piece(bytes, left, part.stream, time, true, lines + used);
        bytes += piece.taken;
        left -= piece.taken;
        used += piece.written;
        if (used < kMostBatch) continue;
        write_lines(lines, used);
        used = 0;
      }
    }
    write_lines(lines, used);
  }

  void write_lines(const char* bytes, size_t size) {
    tell_loss();
    while (size > 0) {
      const size_t part = part_of(bytes, size);
      if (part == 0) {
        next_file();
        continue;
      }
      const size_t kept = append(bytes, part);
      bytes += kept;
      size -= kept;
      if (kept < part) return lose(bytes, size);
    }
  }

  // As many of the lines as the current file has room for. A file has one line at least.
  size_t part_of(const char* bytes, size_t size) {
    if (!open_last()) return size;
    if (max_size_ == 0 || size_ + size <= max_size_) return size;
    const size_t part = size_ < max_size_ ? end_of_lines(bytes, static_cast<size_t>(max_size_ - size_)) : 0;
    return part == 0 && size_ == 0 ? end_of_first_line(bytes, size) : part;
  }

  // How many of the bytes are in the file: all, or the lines that the disk took as a whole.
  size_t append(const char* bytes, size_t size) {
    if (!file_.valid()) return 0;
    size_t done = 0;
    while (done < size) {
      const ssize_t wrote = write(file_.get(), bytes + done, size - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) {
        error_ = wrote == 0 ? ENOSPC : errno;
        const size_t whole = end_of_lines(bytes, done);
        size_ += whole;
        // Half a line would make a line of the next one. If it stays, the next writer ends it.
        if (done > whole && ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) next_file();
        return whole;
      }
      done += static_cast<size_t>(wrote);
    }
    size_ += size;
    return size;
  }

  void lose(const char* bytes, size_t size) { untold_ += decoded_lines(bytes, size); }

  // Writes down how much is missing, once there is room again.
  void tell_loss() {
    if (untold_ == 0) return;
    const TimeText time = time_text(now());
    char line[160];
    const int size =
        snprintf(line, sizeof line, "{\"lost\":%llu,\"errno\":%d,\"time\":\"%.*s\"}\n",
                 static_cast<unsigned long long>(untold_), error_, static_cast<int>(sizeof time.text), time.text);
    if (size <= 0 || !open_last() || append(line, static_cast<size_t>(size)) == 0) return;
    total_.bytes += untold_;
    total_.error = error_;
    untold_ = 0;
  }

  bool open_last() {
    if (file_.valid()) return true;
    if (number_ == 0) find_last();
    const FileName name(number_);
    Fd made(openat(kFolderFd, name.text, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    struct stat status;
    if (!made.valid() || fstat(made.get(), &status) != 0) {
      error_ = errno;
      total_.error = error_;
      return false;
    }
    file_ = std::move(made);
    size_ = static_cast<uint64_t>(status.st_size);
    end_line();
    return true;
  }

  // A writer that was killed may have left half a line.
  void end_line() {
    char last = '\n';
    if (size_ == 0 || pread(file_.get(), &last, 1, static_cast<off_t>(size_ - 1)) != 1 || last == '\n') return;
    if (write(file_.get(), "\n", 1) == 1) size_++;
  }

  void find_last() {
    number_ = 1;
    Directory folder(kFolderFd);
    if (!folder.valid()) return;
    while (const dirent* const entry = folder.next()) {
      const uint64_t number = number_of(entry->d_name);
      if (number > number_) number_ = number;
    }
  }

  // The oldest goes first, since the disk may be full.
  void next_file() {
    file_.reset();
    size_ = 0;
    number_++;
    if (number_ <= max_files_) return;
    const FileName oldest(number_ - max_files_);
    unlinkat(kFolderFd, oldest.text, 0);
  }

  const uint64_t max_size_;
  const uint64_t max_files_;
  Fd file_;
  uint64_t size_ = 0;
  uint64_t number_ = 0;
  uint64_t untold_ = 0;
  int error_ = 0;
  LogLoss total_;
};

// Runs in the new process.
[[noreturn]] void become_writer(const LogWriter::Files& files, int batches, int report) {
  // Opened anew: it is locked as long as this process lives, so that one writer follows the other, and a reader can
  // wait for what a launcher that was killed has left.
  const Fd folder(openat(files.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Above those that they become.
  const int from[] = {fcntl(folder.get(), F_DUPFD, 3), fcntl(batches, F_DUPFD, 3), fcntl(report, F_DUPFD, 3)};
  const int to[] = {kFolderFd, kBatchesFd, kReportFd};
  for (int i = 0; i < 3; i++) {
    if (from[i] <= kReportFd || dup2(from[i], to[i]) < 0) _exit(1);
  }
  // Locks among them, which would look as if the launcher lived.
  call(kSysCloseRange, 3U, ~0U, 0U);
  flock(kFolderFd, LOCK_EX);
  prctl(PR_SET_NAME, "boxctl-log", 0, 0, 0);
  // The launcher's signals are all blocked, and stay so: it ends when the pipe does.
  Writer(files.max_size, files.max_files).run();
}

}  // namespace

long LogWriter::start(const Files& files) {
  int batches[2];
  int report[2];
  if (pipe2(batches, O_CLOEXEC) != 0) return -errno;
  const Fd reading(batches[0]);
  Fd writing(batches[1]);
  if (pipe2(report, O_CLOEXEC) != 0) return -errno;
  Fd answer(report[0]);
  const Fd answering(report[1]);
  // A user's pipes may be smaller (pipe-user-pages-soft, pipe(7)).
  fcntl(writing.get(), F_SETPIPE_SZ, kPipeSize);
  const pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) become_writer(files, reading.get(), answering.get());
  if (fcntl(writing.get(), F_SETFL, O_WRONLY | O_NONBLOCK) != 0) return -errno;
  pid_ = pid;
  batches_ = std::move(writing);
  report_ = std::move(answer);
  return 0;
}

LogLoss LogWriter::finish(int ms) {
  LogLoss loss;
  if (pid_ < 0) return loss;
  batches_.reset();
  // Its end closes the pipe as well.
  pollfd end = {report_.get(), POLLIN, 0};
  int ready;
  do ready = poll(&end, 1, ms);
  while (ready < 0 && errno == EINTR);
  if (ready > 0 && read(report_.get(), &loss, sizeof loss) != sizeof loss) loss = {0, EPIPE};
  if (ready == 0) loss = {0, ETIMEDOUT};
  // One that waits for its disk is left alone: it ends when that answers.
  int status;
  waitpid(pid_, &status, ready > 0 ? 0 : WNOHANG);
  pid_ = -1;
  report_.reset();
  return loss;
}

}  // namespace boxctl
