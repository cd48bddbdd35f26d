// zstd (RFC 8878) by the reference implementation: frames one after the other, skippable ones among them. Whatever else
// follows is refused, as zstd(1) does.
#include <zstd.h>
#include <zstd_errors.h>

#include "codec.h"

namespace boxctl::codec {

namespace {

constexpr char kTooEarly[] = "the zstd data ends too early";
constexpr int kMaxWindowLog = 27;
static_assert(size_t{1} << kMaxWindowLog == kMaxWindow);

class Zstd : public Codec {
 public:
  using Codec::Codec;
  ~Zstd() override { ZSTD_freeDCtx(context_); }

  bool allocate() {
    context_ = ZSTD_createDCtx();
    return context_ != nullptr && !ZSTD_isError(ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kMaxWindowLog));
  }

  ssize_t read(uint8_t* to, size_t size) override {
    ZSTD_outBuffer out{to, size, 0};
    while (out.pos == 0 && !ended_) {
      if (!step(out)) return -1;
    }
    return static_cast<ssize_t>(out.pos);
  }

 private:
  bool step(ZSTD_outBuffer& out) {
    if (!input_.want(1)) return cut_off(kTooEarly);
    const bool last = input_.available() == 0;
    if (last && !in_frame_) {
      ended_ = true;
      return true;
    }
    ZSTD_inBuffer in{input_.next, input_.available(), 0};
    const size_t rest = ZSTD_decompressStream(context_, &out, &in);
    input_.next += in.pos;
    if (ZSTD_isError(rest)) return fail(why(ZSTD_getErrorCode(rest)), number(ZSTD_getErrorCode(rest)));
    in_frame_ = rest != 0;
    // Nothing comes in any more, and nothing was left to come out.
    if (last && in_frame_ && out.pos == 0) return cut_off(kTooEarly);
    return true;
  }

  static const char* why(ZSTD_ErrorCode code) {
    switch (code) {
      case ZSTD_error_checksum_wrong:
        return "the zstd data is damaged: its checksum does not match";
      case ZSTD_error_frameParameter_windowTooLarge:
        return "the zstd data needs a window of more than 128 MiB";
      case ZSTD_error_dictionary_wrong:
        return "the zstd data needs a dictionary, which it does not contain";
      case ZSTD_error_memory_allocation:
        return "there is not enough memory to decompress the archive";
      case ZSTD_error_prefix_unknown:
        return "the zstd data is damaged: something else follows a frame";
      default:
        return "the zstd data is damaged";
    }
  }
  static int number(ZSTD_ErrorCode code) { return code == ZSTD_error_memory_allocation ? ENOMEM : 0; }

  ZSTD_DCtx* context_ = nullptr;
  bool in_frame_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Codec> make_zstd(Input& input) { return make_codec<Zstd>(input); }

}  // namespace boxctl::codec
