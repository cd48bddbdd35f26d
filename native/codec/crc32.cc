#include "crc32.h"

#include <string.h>

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace boxctl::codec {

namespace {

constexpr uint32_t kPolynomial = 0xedb88320;  // reflected: the highest bit stands for x^0

// One table for each of 16 bytes that are taken at once (slicing-by-16).
constexpr auto kTables = [] {
  std::array<std::array<uint32_t, 256>, 16> tables{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
    tables[0][i] = crc;
  }
  for (size_t t = 1; t < 16; t++) {
    for (size_t i = 0; i < 256; i++) tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 0xff];
  }
  return tables;
}();

// Inside, a CRC is kept inverted, as the algorithm computes it.
uint32_t update_bytes(uint32_t state, const uint8_t* data, size_t size) {
  for (; size > 0; size--) state = state >> 8 ^ kTables[0][(state ^ *data++) & 0xff];
  return state;
}

uint32_t update_portable(uint32_t state, const uint8_t* data, size_t size) {
  for (; size >= 16; size -= 16, data += 16) {
    uint32_t words[4];
    memcpy(words, data, 16);
    words[0] ^= state;
    state = 0;
    for (size_t w = 0; w < 4; w++) {
      for (size_t b = 0; b < 4; b++) state ^= kTables[15 - 4 * w - b][words[w] >> 8 * b & 0xff];
    }
  }
  return update_bytes(state, data, size);
}

#if defined(__x86_64__)

// x^n modulo the polynomial, in the form that a carry-less multiplication of reflected operands wants.
constexpr uint64_t power(unsigned n) {
  uint32_t value = uint32_t{1} << 31;
  for (; n > 0; n--) value = value >> 1 ^ (value & 1 ? kPolynomial : 0);
  return uint64_t{value} << 1;
}

// Moves 128 bits of the message `kDistance` bits further and adds them there ("folding", Gopal et al., Intel 2009).
template <unsigned kDistance>
__attribute__((target("pclmul,sse2"))) inline __m128i fold(__m128i state, __m128i at) {
  const __m128i powers =
      _mm_set_epi64x(static_cast<long long>(power(kDistance - 32)), static_cast<long long>(power(kDistance + 32)));
  const __m128i low = _mm_clmulepi64_si128(state, powers, 0x00);
  const __m128i high = _mm_clmulepi64_si128(state, powers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), at);
}

__attribute__((target("pclmul,sse2"))) uint32_t update_pclmul(uint32_t state, const uint8_t* data, size_t size) {
  if (size < 128) return update_portable(state, data, size);
  const auto load = [](const uint8_t* from) __attribute__((target("sse2"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  };
  __m128i a = _mm_xor_si128(load(data), _mm_cvtsi32_si128(static_cast<int>(state)));
  __m128i b = load(data + 16), c = load(data + 32), d = load(data + 48);
  for (data += 64, size -= 64; size >= 64; data += 64, size -= 64) {
    a = fold<512>(a, load(data));
    b = fold<512>(b, load(data + 16));
    c = fold<512>(c, load(data + 32));
    d = fold<512>(d, load(data + 48));
  }
  a = fold<128>(fold<128>(fold<128>(a, b), c), d);
  // What is left is a message of 16 bytes with the same remainder.
  uint8_t rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), a);
  return update_portable(update_portable(0, rest, sizeof rest), data, size);
}

bool has_pclmul() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("pclmul") != 0;
}

uint32_t update(uint32_t state, const uint8_t* data, size_t size) {
  static const bool fast = has_pclmul();
  return fast ? update_pclmul(state, data, size) : update_portable(state, data, size);
}

#elif defined(__aarch64__)

__attribute__((target("+crc"))) uint32_t update_instructions(uint32_t state, const uint8_t* data, size_t size) {
  for (; size >= 8; size -= 8, data += 8) {
    uint64_t word;
    memcpy(&word, data, 8);
    state = __crc32d(state, word);
  }
  for (; size > 0; size--) state = __crc32b(state, *data++);
  return state;
}

uint32_t update(uint32_t state, const uint8_t* data, size_t size) {
  static const bool fast = (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
  return fast ? update_instructions(state, data, size) : update_portable(state, data, size);
}

#else

uint32_t update(uint32_t state, const uint8_t* data, size_t size) { return update_portable(state, data, size); }

#endif

}  // namespace

uint32_t crc32(uint32_t crc, const void* data, size_t size) {
  return ~update(~crc, static_cast<const uint8_t*>(data), size);
}

uint32_t crc32_portable(uint32_t crc, const void* data, size_t size) {
  return ~update_portable(~crc, static_cast<const uint8_t*>(data), size);
}

}  // namespace boxctl::codec
