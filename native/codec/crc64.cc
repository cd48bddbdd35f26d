#include "crc64.h"

#include <string.h>

#include <array>

namespace boxctl::codec {

namespace {

constexpr uint64_t kPolynomial = 0xc96c5795d7870f42;

// One table for each of eight bytes that are taken at once.
constexpr auto kTables = [] {
  std::array<std::array<uint64_t, 256>, 8> tables{};
  for (uint64_t i = 0; i < 256; i++) {
    uint64_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
    tables[0][i] = crc;
  }
  for (size_t t = 1; t < 8; t++) {
    for (size_t i = 0; i < 256; i++) tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 0xff];
  }
  return tables;
}();

}  // namespace

uint64_t crc64(uint64_t crc, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    word ^= crc;
    crc = 0;
    for (size_t b = 0; b < 8; b++) crc ^= kTables[7 - b][word >> 8 * b & 0xff];
  }
  for (; size > 0; size--) crc = crc >> 8 ^ kTables[0][(crc ^ *bytes++) & 0xff];
  return ~crc;
}

}  // namespace boxctl::codec
