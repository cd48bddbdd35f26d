// The archive on descriptor 0, or a part of it, as a plain stream of bytes: read once, decompressed and digested on
// threads of its own while the caller takes what comes out.
#pragma once

#include <stdint.h>

#include <memory>

#include "decompress.h"
#include "flow.h"
#include "stage_readers.h"

namespace boxctl::image {

// A part of a descriptor as a source. Tells how far it is (report.h) some ten times a second.
class Window {
 public:
  // `size` 0: to the end. What cannot be read at a place (a pipe) is read from where it stands.
  Window(int fd, uint64_t offset, uint64_t size) : fd_(fd), at_(offset), left_(size), bounded_(size > 0) {}
  Source source() { return {read_window, this}; }

 private:
  static ssize_t read_window(void* context, void* buffer, size_t size);
  void tell();

  const int fd_;
  uint64_t at_;
  uint64_t left_;
  const bool bounded_;
  bool seekable_ = true;
  uint64_t read_ = 0;
  uint64_t told_ns_ = 0;
};

class Archive {
 public:
  // Which digests are computed: none, that of the archive, or that of what comes out as well.
  enum class Digests { kNone, kArchive, kBoth };
  Archive(int fd, uint64_t offset, uint64_t size, Digests digests);
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  // `decompress`: false gives the stream as it is, whatever it is compressed by. False: see failure().
  bool start(bool decompress = true);
  Stage::Tap& tap() { return out_; }
  Source stream() { return Stage::source(out_); }
  const char* compression() const;

  // After start() and before anything is read: writes all of the stream to a file as well, no more than `limit` bytes
  // of it.
  bool copy_to(int fd, uint64_t limit);
  // After the stream's end: waits until all of it is in the file. False: see failure().
  bool finish_copy(uint64_t& bytes);

  // After the stream's end. Empty where they are not computed.
  const char* digest();
  const char* plain_digest();

  // What made the stream fail.
  Failure failure() const;

 private:
  // Each is false after start_failure_ was set.
  bool start_digest(std::unique_ptr<Digest>& digest, const Stage::Tap& tap);
  bool started(const Failure& failure);

  Window window_;
  Stage raw_;
  Stage::Tap raw_tap_{&raw_, 0};
  const Digests digests_;
  std::unique_ptr<Digest> raw_digest_;
  Compression compression_ = Compression::kNone;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<Stage> plain_;
  std::unique_ptr<Digest> plain_digest_;
  Stage::Tap out_{&raw_, 0};
  std::unique_ptr<Copy> copy_;
  Failure start_failure_;
};

}  // namespace boxctl::image
