#include "compress.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <new>

#include "../codec/crc32.h"
#include "../codec/deflate.h"
#include "flow.h"
#include "stage_readers.h"

namespace boxctl::image {

namespace {

constexpr char kUnreadable[] = "the layer cannot be read";
constexpr size_t kMaxThreads = 16;
constexpr int kUsualGzipLevel = 6, kUsualZstdLevel = 3, kMaxZstdLevel = 19;

size_t processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::clamp<size_t>(static_cast<size_t>(CPU_COUNT(&set)), 1, kMaxThreads);
}

int lend(const Source& source, const uint8_t*& data, size_t& size) {
  data = nullptr;
  size = 0;
  const void* bytes = nullptr;
  const ssize_t got = source.lend(source.context, &bytes);
  if (got < 0) return errno == 0 ? EIO : errno;
  data = static_cast<const uint8_t*>(bytes);
  size = static_cast<size_t>(got);
  return 0;
}

Failure copy(const Source& source, Output& output) {
  for (;;) {
    const uint8_t* data;
    size_t size;
    if (const int error = lend(source, data, size); error != 0) return {kUnreadable, error};
    if (size == 0) return {};
    if (const Failure failure = output.write(data, size); failure) return failure;
  }
}

// Threads that compress parts, in a ring: the caller fills one part after the other, and writes them in the same order.
class Gzip {
 public:
  Gzip(int level, Output& output) : level_(level), output_(output) {}
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  Failure run(const Source& source);

 private:
  static constexpr size_t kPart = size_t{1} << 20;
  static constexpr size_t kWindow = codec::Deflater::kWindow;
  enum class State { kFree, kFilled, kDone, kFailed };
  struct Part {
    List<uint8_t> bytes;  // kWindow bytes for what lies before the part, and the part
    size_t before = 0, size = 0;
    List<uint8_t> packed;
    State state = State::kFree;
  };

  static void* work(void* self);
  Part* take();
  void set(Part& part, State state);
  Failure fill(const Source& source, Part& part, bool& end);
  Failure collect(Part& part);

  const int level_;
  Output& output_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed_ = PTHREAD_COND_INITIALIZER;
  size_t size_ = 0;  // of the ring
  Part parts_[2 * kMaxThreads];
  uint64_t next_ = 0;  // the part that the next free thread takes
  uint64_t filled_ = 0;

  const uint8_t* lent_ = nullptr;
  size_t left_ = 0;
  uint32_t crc_ = 0;
  uint64_t plain_ = 0;
};

void* Gzip::work(void* self) {
  auto& gzip = *static_cast<Gzip*>(self);
  const std::unique_ptr<codec::Deflater> deflater(new (std::nothrow) codec::Deflater(gzip.level_));
  for (;;) {
    Part& part = *gzip.take();
    const uint8_t* const data = part.bytes.begin() + kWindow;
    const bool done = deflater != nullptr && deflater->part(data, part.before, part.size, part.packed);
    gzip.set(part, done ? State::kDone : State::kFailed);
  }
}

Gzip::Part* Gzip::take() {
  const Lock lock(mutex_);
  while (next_ == filled_) pthread_cond_wait(&changed_, &mutex_);
  return &parts_[next_++ % size_];
}

void Gzip::set(Part& part, State state) {
  const Lock lock(mutex_);
  part.state = state;
  if (state == State::kFilled) filled_++;
  pthread_cond_broadcast(&changed_);
}

// Fills a part, which is only the last one when it is not full.
Failure Gzip::fill(const Source& source, Part& part, bool& end) {
  uint8_t* const to = part.bytes.begin() + kWindow;
  part.size = 0;
  while (part.size < kPart && !end) {
    if (left_ == 0) {
      if (const int error = lend(source, lent_, left_); error != 0) return {kUnreadable, error};
      end = left_ == 0;
    }
    const size_t some = std::min(left_, kPart - part.size);
    memcpy(to + part.size, lent_, some);
    part.size += some;
    lent_ += some;
    left_ -= some;
  }
  crc_ = codec::crc32(crc_, to, part.size);
  plain_ += part.size;
  return {};
}

// Waits for a part to be compressed, and writes it.
Failure Gzip::collect(Part& part) {
  {
    const Lock lock(mutex_);
    while (part.state == State::kFilled) pthread_cond_wait(&changed_, &mutex_);
    if (part.state == State::kFailed) return {kNoMemory, ENOMEM};
    if (part.state == State::kFree) return {};
  }
  part.state = State::kFree;
  return output_.write(part.packed.begin(), part.packed.size());
}

Failure Gzip::run(const Source& source) {
  const size_t threads = processors();
  size_ = 2 * threads;
  for (size_t i = 0; i < size_; i++) {
    if (!parts_[i].bytes.resize(kWindow + kPart)) return {kNoMemory, ENOMEM};
  }
  for (size_t i = 0; i < threads; i++) {
    pthread_t thread;
    if (const Failure failure = start_thread(thread, work, this); failure) return failure;
    pthread_detach(thread);
  }
  // RFC 1952: deflate, no flags, no time, no hint at the level, an unknown system.
  constexpr uint8_t kHeader[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
  if (const Failure failure = output_.write(kHeader, sizeof kHeader); failure) return failure;
  const Part* before = nullptr;
  uint64_t count = 0;
  for (bool end = false; !end; count++) {
    Part& part = parts_[count % size_];
    if (const Failure failure = collect(part); failure) return failure;
    // The part before was full, and its thread only reads it.
    part.before = before == nullptr ? 0 : kWindow;
    if (before != nullptr) memcpy(part.bytes.begin(), before->bytes.begin() + kPart, kWindow);
    if (const Failure failure = fill(source, part, end); failure) return failure;
    set(part, State::kFilled);
    before = &part;
  }
  for (uint64_t i = 0; i < size_; i++) {
    if (const Failure failure = collect(parts_[(count + i) % size_]); failure) return failure;
  }
  uint8_t trailer[8];
  for (unsigned i = 0; i < 4; i++) {
    trailer[i] = static_cast<uint8_t>(crc_ >> 8 * i);
    trailer[4 + i] = static_cast<uint8_t>(plain_ >> 8 * i);
  }
  if (const Failure failure = output_.write(codec::Deflater::kEnd, sizeof codec::Deflater::kEnd); failure) {
    return failure;
  }
  return output_.write(trailer, sizeof trailer);
}

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

Failure zstd(const Source& source, uint64_t size, int level, Output& output) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  List<uint8_t> out;
  if (context == nullptr || !out.resize(ZSTD_CStreamOutSize())) return {kNoMemory, ENOMEM};
  const auto set = [&](ZSTD_cParameter key, int value) {
    return !ZSTD_isError(ZSTD_CCtx_setParameter(context.get(), key, value));
  };
  // With threads, even with one, the content is cut into jobs, which their number has no part in. Without, it is not.
  if (!set(ZSTD_c_compressionLevel, level) || !set(ZSTD_c_checksumFlag, 1) ||
      !set(ZSTD_c_nbWorkers, static_cast<int>(processors())) ||
      ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context.get(), size))) {
    return {"the zstd encoder cannot be set up"};
  }
  for (bool end = false; !end;) {
    const uint8_t* data;
    size_t left;
    if (const int error = lend(source, data, left); error != 0) return {kUnreadable, error};
    end = left == 0;
    ZSTD_inBuffer in{data, left, 0};
    for (size_t rest = 1; end ? rest != 0 : in.pos < in.size;) {
      ZSTD_outBuffer to{out.begin(), out.size(), 0};
      rest = ZSTD_compressStream2(context.get(), &to, &in, end ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(rest)) return {"the layer cannot be compressed, or its size has changed"};
      if (const Failure failure = output.write(out.begin(), to.pos); failure) return failure;
    }
  }
  return {};
}

}  // namespace

Failure Output::write(const void* data, size_t size) {
  hash_.update(static_cast<const uint8_t*>(data), size);
  size_ += size;
  return write_all(fd_, data, size);
}

const char* Output::digest() {
  hash_.finish(hex_);
  return hex_;
}

bool can_compress(Compression compression, uint64_t level) {
  switch (compression) {
    case Compression::kNone:
      return level == 0;
    case Compression::kGzip:
      return level <= codec::kMaxDeflateLevel;
    case Compression::kZstd:
      return level <= kMaxZstdLevel;
    default:
      return false;
  }
}

Failure compress(const Source& source, uint64_t size, Compression compression, uint64_t level, Output& output) {
  const int given = static_cast<int>(level);
  switch (compression) {
    case Compression::kNone:
      return copy(source, output);
    case Compression::kGzip: {
      // Its threads still wait for parts when it is done: it is never destroyed, like a stage.
      auto* const gzip = new (std::nothrow) Gzip(given == 0 ? kUsualGzipLevel : given, output);
      return gzip == nullptr ? Failure{kNoMemory, ENOMEM} : gzip->run(source);
    }
    case Compression::kZstd:
      return zstd(source, size, given == 0 ? kUsualZstdLevel : given, output);
    default:
      return {"there is no encoder for this compression", EINVAL};
  }
}

}  // namespace boxctl::image
