#include "archive.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <new>

#include "report.h"

namespace boxctl::image {
namespace {

constexpr uint64_t kTellEveryNs = 100'000'000;

uint64_t now_ns() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

ssize_t Window::read_window(void* context, void* buffer, size_t size) {
  auto& window = *static_cast<Window*>(context);
  if (window.bounded_ && size > window.left_) size = static_cast<size_t>(window.left_);
  if (size == 0) return 0;
  ssize_t got = -1;
  if (window.seekable_) {
    got = pread(window.fd_, buffer, size, static_cast<off_t>(window.at_));
    if (got < 0 && errno == ESPIPE && window.at_ == 0) window.seekable_ = false;
  }
  if (!window.seekable_) got = read(window.fd_, buffer, size);
  if (got <= 0) return got;
  window.at_ += static_cast<uint64_t>(got);
  window.left_ -= window.bounded_ ? static_cast<uint64_t>(got) : 0;
  window.read_ += static_cast<uint64_t>(got);
  window.tell();
  return got;
}

void Window::tell() {
  const uint64_t now = now_ns();
  if (told_ns_ == 0) told_ns_ = now;
  if (now - told_ns_ < kTellEveryNs) return;
  told_ns_ = now;
  Report report;
  report.number("read", read_);
  report.number("entries", entries_done.load(std::memory_order_relaxed));
  report.send();
}

Archive::Archive(int fd, uint64_t offset, uint64_t size, Digests digests)
    : window_(fd, offset, size), raw_(window_.source()), digests_(digests) {}

bool Archive::started(const Failure& failure) {
  start_failure_ = failure;
  return !failure;
}

// The digest of what `tap` sees, of which nothing was read.
bool Archive::start_digest(std::unique_ptr<Digest>& digest, const Stage::Tap& tap) {
  digest.reset(new (std::nothrow) Digest(*tap.stage, tap.stage->add_reader(tap.reader)));
  return started(digest == nullptr ? Failure{kNoMemory, ENOMEM} : digest->start());
}

bool Archive::start(bool decompress) {
  if (digests_ != Digests::kNone && !start_digest(raw_digest_, raw_tap_)) return false;
  if (!started(raw_.start())) return false;
  // The first piece tells the compression and stays to be read.
  if (!raw_.next(raw_tap_.reader, raw_tap_.data, raw_tap_.left)) return started({"the archive cannot be read", errno});
  compression_ = detect(raw_tap_.data, raw_tap_.left);
  if (compression_ == Compression::kNone || !decompress) {
    out_ = raw_tap_;
    return true;
  }
  decoder_.reset(new (std::nothrow) Decoder(Stage::source(raw_tap_)));
  if (decoder_ == nullptr) return started({kNoMemory, ENOMEM});
  if (!decoder_->open()) return false;
  plain_.reset(new (std::nothrow) Stage(decoder_->source()));
  if (plain_ == nullptr) return started({kNoMemory, ENOMEM});
  out_ = {plain_.get(), 0};
  if (digests_ == Digests::kBoth && !start_digest(plain_digest_, out_)) return false;
  return started(plain_->start());
}

bool Archive::copy_to(int fd, uint64_t limit) {
  copy_.reset(new (std::nothrow) Copy(*out_.stage, out_.stage->add_reader(out_.reader), fd, limit));
  return started(copy_ == nullptr ? Failure{kNoMemory, ENOMEM} : copy_->start());
}

bool Archive::finish_copy(uint64_t& bytes) {
  const bool done = copy_->wait();
  bytes = copy_->bytes();
  return done;
}

const char* Archive::compression() const { return name(compression_); }

const char* Archive::digest() { return raw_digest_ == nullptr ? "" : raw_digest_->wait(); }

const char* Archive::plain_digest() { return plain_digest_ == nullptr ? digest() : plain_digest_->wait(); }

Failure Archive::failure() const {
  if (start_failure_) return start_failure_;
  if (decoder_ != nullptr && decoder_->failure()) return decoder_->failure();
  return copy_ == nullptr ? Failure{} : copy_->failure();
}

}  // namespace boxctl::image
