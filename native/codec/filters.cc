#include "filters.h"

#include <string.h>

namespace boxctl::codec {

namespace {

enum : uint64_t {
  kDelta = 0x03,
  kX86 = 0x04,
  kPowerPc = 0x05,
  kIa64 = 0x06,
  kArm = 0x07,
  kArmThumb = 0x08,
  kSparc = 0x09,
  kArm64 = 0x0a,
  kRiscv = 0x0b,
};

uint32_t load_le(const uint8_t* from) {
  return uint32_t{from[0]} | uint32_t{from[1]} << 8 | uint32_t{from[2]} << 16 | uint32_t{from[3]} << 24;
}
uint32_t load_be(const uint8_t* from) {
  return uint32_t{from[0]} << 24 | uint32_t{from[1]} << 16 | uint32_t{from[2]} << 8 | uint32_t{from[3]};
}
void store_le(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = static_cast<uint8_t>(value >> 8 * i);
}
void store_be(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

// Instructions lie at multiples of this.
uint32_t alignment_of(uint64_t id) {
  switch (id) {
    case kIa64:
      return 16;
    case kPowerPc:
    case kArm:
    case kSparc:
    case kArm64:
      return 4;
    case kArmThumb:
    case kRiscv:
      return 2;
    default:
      return 1;
  }
}

// Each converts the instruction at `at`, whose address is `address`, and returns how far the next one is.

// `bl target`: 26 bits of words, the lowest two bits are flags.
size_t powerpc(uint8_t* at, uint32_t address) {
  const uint32_t word = load_be(at);
  if ((word & 0xfc000003) == 0x48000001) store_be(at, 0x48000001 | ((word - address) & 0x03fffffc));
  return 4;
}

// `bl target` of any processor's code in ARM state: 24 bits of words from two instructions on.
size_t arm(uint8_t* at, uint32_t address) {
  const uint32_t word = load_le(at);
  if (word >> 24 == 0xeb) store_le(at, 0xeb000000 | ((((word << 2) - (address + 8)) >> 2) & 0xffffff));
  return 4;
}

// `bl target` as a pair of 16 bits each, with 11 bits of half words in either.
size_t arm_thumb(uint8_t* at, uint32_t address) {
  if ((at[1] & 0xf8) != 0xf0 || (at[3] & 0xf8) != 0xf8) return 2;
  const uint32_t high = (uint32_t{at[1]} & 7) << 8 | at[0], low = (uint32_t{at[3]} & 7) << 8 | at[2];
  const uint32_t target = (((high << 11 | low) << 1) - (address + 4)) >> 1;
  at[0] = static_cast<uint8_t>(target >> 11);
  at[1] = static_cast<uint8_t>(0xf0 | (target >> 19 & 7));
  at[2] = static_cast<uint8_t>(target);
  at[3] = static_cast<uint8_t>(0xf8 | (target >> 8 & 7));
  return 4;
}

// `call target`: 30 bits of words, of which those are taken whose upper 8 bits repeat the sign.
size_t sparc(uint8_t* at, uint32_t address) {
  const uint32_t word = load_be(at);
  if (word >> 22 != 0x100 && word >> 22 != 0x1ff) return 4;
  const uint32_t target = ((word << 2) - address) >> 2;
  const uint32_t sign = (0 - (target >> 22 & 1)) << 22 & 0x3fffffff;
  store_be(at, 0x40000000 | sign | (target & 0x3fffff));
  return 4;
}

size_t arm64(uint8_t* at, uint32_t address) {
  const uint32_t word = load_le(at);
  if (word >> 26 == 0x25) {
    // `bl target`: 26 bits of words.
    store_le(at, 0x94000000 | ((word - (address >> 2)) & 0x03ffffff));
  } else if ((word & 0x9f000000) == 0x90000000) {
    // `adrp register, target`: 21 bits of pages of 4 KiB, of which those up to 512 MiB away are taken.
    const uint32_t pages = (word >> 29 & 3) | (word >> 3 & 0x1ffffc);
    if (((pages + 0x20000) & 0x1c0000) != 0) return 4;
    const uint32_t target = pages - (address >> 12);
    const uint32_t sign = (0 - (target & 0x20000)) & 0xe00000;
    store_le(at, (word & 0x9000001f) | (target & 3) << 29 | (target & 0x3fffc) << 3 | sign);
  }
  return 4;
}

// A bundle of 128 bits: 5 bits that say what its three instructions of 41 bits are, of which some may be branches.
size_t ia64(uint8_t* at, uint32_t address) {
  static constexpr uint8_t kBranches[32] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                            4, 4, 6, 6, 0, 0, 7, 7, 4, 4, 0, 0, 4, 4, 0, 0};
  const unsigned branches = kBranches[at[0] & 0x1f];
  for (unsigned slot = 0, bit = 5; slot < 3; slot++, bit += 41) {
    if ((branches >> slot & 1) == 0) continue;
    uint8_t* const bytes = at + bit / 8;
    const unsigned shift = bit % 8;
    uint64_t all = 0;
    for (unsigned i = 0; i < 6; i++) all |= uint64_t{bytes[i]} << 8 * i;
    uint64_t instruction = all >> shift;
    if ((instruction >> 37 & 0xf) != 5 || (instruction >> 9 & 7) != 0) continue;
    // 20 bits of bundles, and the sign elsewhere.
    const auto bundles = static_cast<uint32_t>((instruction >> 13 & 0xfffff) | (instruction >> 36 & 1) << 20);
    const uint32_t target = ((bundles << 4) - address) >> 4;
    instruction &= ~(uint64_t{0x8fffff} << 13);
    instruction |= uint64_t{target & 0xfffff} << 13 | uint64_t{target >> 20 & 1} << 36;
    all = (all & ((uint64_t{1} << shift) - 1)) | instruction << shift;
    for (unsigned i = 0; i < 6; i++) bytes[i] = static_cast<uint8_t>(all >> 8 * i);
  }
  return 16;
}

size_t riscv(uint8_t* at, uint32_t address) {
  if (at[0] == 0xef) {
    // `jal ra` or `jal t0`: the archive has 20 bits of half words in their own order, the highest first.
    if ((at[1] & 0x0d) != 0) return 2;
    const uint32_t high = uint32_t{at[1]} & 0xf0;
    const uint32_t target = (high << 13 | uint32_t{at[2]} << 9 | uint32_t{at[3]} << 1) - address;
    at[1] = static_cast<uint8_t>((at[1] & 0x0f) | (target >> 8 & 0xf0));
    at[2] = static_cast<uint8_t>((target >> 16 & 0x0f) | (target >> 7 & 0x10) | (target << 4 & 0xe0));
    at[3] = static_cast<uint8_t>((target >> 4 & 0x7f) | (target >> 13 & 0x80));
    return 4;
  }
  if ((at[0] & 0x7f) != 0x17) return 2;
  // `auipc`, whose target another instruction completes.
  uint32_t first = load_le(at), second = load_le(at + 4);
  if ((first & 0xe80) != 0) {
    // A pair of a register that the encoder converts: what looks like one here was never a pair, but looked like a
    // converted one.
    if (((first << 8 ^ (second - 3)) & 0xf8003) != 0) return 6;
    const uint32_t packed = (first & 0xfffff000) + (second >> 20);
    first = 0x17 | 2 << 7 | second << 12;
    store_le(at + 4, packed);
  } else {
    // Converted: the register is the stack pointer, whose place holds a part of the second instruction.
    const uint32_t base = first >> 27;
    if ((first - 0x3117) << 18 >= (base & 0x1d)) return 4;
    const uint32_t target = load_be(at + 4) - address;
    second = first >> 12 | target << 20;
    first = 0x17 | base << 7 | ((target + 0x800) & 0xfffff000);
    store_le(at + 4, second);
  }
  store_le(at, first);
  return 8;
}

struct Code {
  size_t (*convert)(uint8_t* at, uint32_t address);
  size_t size;  // bytes that it looks at
};

Code code_of(uint64_t id) {
  switch (id) {
    case kPowerPc:
      return {powerpc, 4};
    case kIa64:
      return {ia64, 16};
    case kArm:
      return {arm, 4};
    case kArmThumb:
      return {arm_thumb, 4};
    case kSparc:
      return {sparc, 4};
    case kArm64:
      return {arm64, 4};
    default:
      return {riscv, 8};
  }
}

}  // namespace

const char* Filter::set(uint64_t id, const uint8_t* properties, size_t size) {
  *this = Filter();
  id_ = id;
  if (id == kDelta) {
    if (size != 1) return "the xz data is damaged";
    distance_ = size_t{*properties} + 1;
    return nullptr;
  }
  if (id < kX86 || id > kRiscv) return "the xz data uses a filter that is not known";
  if (size != 0 && size != 4) return "the xz data is damaged";
  if (size == 4) position_ = load_le(properties);
  if (position_ % alignment_of(id) != 0) return "the xz data is damaged";
  seen_ = 0 - uint32_t{5};
  return nullptr;
}

size_t Filter::run(uint8_t* bytes, size_t size) {
  const size_t done = id_ == kDelta ? delta(bytes, size) : id_ == kX86 ? x86(bytes, size) : convert(bytes, size);
  position_ += static_cast<uint32_t>(done);
  return done;
}

size_t Filter::convert(uint8_t* bytes, size_t size) {
  const Code code = code_of(id_);
  size_t at = 0;
  while (size >= code.size && at <= size - code.size)
    at += code.convert(bytes + at, position_ + static_cast<uint32_t>(at));
  return at;
}

size_t Filter::delta(uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    bytes[i] = static_cast<uint8_t>(bytes[i] + history_[static_cast<uint8_t>(at_ - distance_)]);
    history_[at_++] = bytes[i];
  }
  return size;
}

// `call target` and `jmp target`: a byte and 32 bits that count from the next instruction. Instructions have no
// alignment, so that a call may be taken for one in the middle of another instruction; of those that overlap, the mask
// tells which were.
size_t Filter::x86(uint8_t* bytes, size_t size) {
  constexpr size_t kSize = 5;
  // By the calls that begin in the three bytes before: whether one may begin here, and where the nearest lies.
  static constexpr bool kAllowed[8] = {true, true, true, false, true, false, false, false};
  static constexpr unsigned kNearest[8] = {0, 1, 2, 2, 3, 3, 3, 3};
  const auto extends_sign = [](uint8_t byte) { return byte == 0 || byte == 0xff; };
  if (position_ - seen_ > kSize) seen_ = position_ - static_cast<uint32_t>(kSize);
  size_t at = 0;
  while (size >= kSize && at <= size - kSize) {
    if ((bytes[at] & 0xfe) != 0xe8) {
      at++;
      continue;
    }
    const uint32_t here = position_ + static_cast<uint32_t>(at), gap = here - seen_;
    seen_ = here;
    mask_ = gap > kSize ? 0 : mask_;
    for (uint32_t i = 0; gap <= kSize && i < gap; i++) mask_ = (mask_ & 0x77) << 1;
    const uint8_t top = bytes[at + 4];
    if (!extends_sign(top) || !kAllowed[mask_ >> 1 & 7] || mask_ >> 1 >= 0x10) {
      at++;
      mask_ |= extends_sign(top) ? 0x11 : 1;
      continue;
    }
    uint32_t source = load_le(bytes + at + 1), target = 0;
    for (;;) {
      target = source - (here + static_cast<uint32_t>(kSize));
      if (mask_ == 0) break;
      const unsigned shift = kNearest[mask_ >> 1 & 7] * 8;
      if (!extends_sign(static_cast<uint8_t>(target >> (24 - shift)))) break;
      source = target ^ (0xffffffffU >> shift);
    }
    const uint32_t sign = 0 - (target >> 24 & 1);
    store_le(bytes + at + 1, (target & 0xffffff) | sign << 24);
    at += kSize;
    mask_ = 0;
  }
  return at;
}

void Filters::clear() {
  count_ = 0;
  memset(done_, 0, sizeof done_);
}

const char* Filters::add(uint64_t id, const uint8_t* properties, size_t size) {
  return count_ == kMax ? "the xz data is damaged" : filters_[count_++].set(id, properties, size);
}

bool Filters::feed(const uint8_t* bytes, size_t size, bool last) {
  // Drops what was given out, and moves what the filters hold back to the front.
  const size_t gone = done_[0];
  for (size_t i = 0; i <= count_; i++) done_[i] -= gone;
  const size_t kept = done_[count_];
  if (kept > 0) memmove(buffer_, buffer_ + gone, kept);
  if (!memory_.resize(kept + size)) return false;
  buffer_ = memory_.begin();
  if (size > 0) memcpy(buffer_ + kept, bytes, size);
  done_[count_] = kept + size;
  // The filter that was applied last is undone first. At the end of the data, bytes that a filter still holds back are
  // unchanged.
  for (size_t i = count_; i-- > 0;) {
    done_[i] += filters_[i].run(buffer_ + done_[i], done_[i + 1] - done_[i]);
    if (last) done_[i] = done_[i + 1];
  }
  return true;
}

}  // namespace boxctl::codec
