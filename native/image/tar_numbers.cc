// The numbers in a tar archive: octal or base-256 in a header, decimal in a pax record.
#include "tar_header.h"

namespace boxctl::tar {

bool parse_number(const char* field, size_t size, int64_t& value) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(field);
  if (bytes[0] & 0x80) {
    // GNU's base-256: two's complement, most significant byte first, the top bit only a mark.
    const bool negative = bytes[0] & 0x40;
    uint64_t bits = negative ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < size; i++) {
      unsigned char byte = bytes[i];
      if (i == 0) byte = static_cast<unsigned char>(negative ? byte | 0x80 : byte & 0x7f);
      const uint64_t out = bits >> 56;
      if (out != (negative ? 0xff : 0)) return false;
      bits = bits << 8 | byte;
    }
    value = static_cast<int64_t>(bits);
    return (value < 0) == negative;
  }
  // As GNU tar reads it: one NUL that an overflow of the field before has left, blanks, digits; whatever follows a NUL
  // or a blank is not part of the number.
  const auto blank = [](unsigned char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); };
  size_t i = bytes[0] == 0 ? 1 : 0;
  while (i < size && blank(bytes[i])) i++;
  uint64_t number = 0;
  for (; i < size && bytes[i] >= '0' && bytes[i] <= '7'; i++) {
    if (number >> 60 != 0) return false;
    number = number << 3 | (bytes[i] - '0');
  }
  if (i < size && bytes[i] != 0 && !blank(bytes[i])) return false;
  if (number > kMaxSize) return false;
  value = static_cast<int64_t>(number);
  return true;
}

bool parse_decimal(const char* text, uint64_t limit, uint64_t& value) {
  if (*text == 0) return false;
  uint64_t number = 0;
  for (; *text != 0; text++) {
    if (*text < '0' || *text > '9') return false;
    const uint64_t digit = static_cast<uint64_t>(*text - '0');
    if (number > (limit - digit) / 10) return false;
    number = number * 10 + digit;
  }
  value = number;
  return true;
}

bool parse_time(const char* text, int64_t& seconds, uint32_t& nanoseconds) {
  const bool negative = *text == '-';
  if (negative) text++;
  // Far beyond what any file system keeps, far from overflow.
  constexpr int64_t kMax = int64_t{1} << 60;
  int64_t whole = 0;
  if (*text < '0' || *text > '9') return false;
  for (; *text >= '0' && *text <= '9'; text++) {
    if (whole > kMax / 10) return false;
    whole = whole * 10 + (*text - '0');
  }
  uint32_t fraction = 0;
  bool beyond = false;
  if (*text == '.') {
    text++;
    uint32_t unit = 100'000'000;
    for (; *text >= '0' && *text <= '9'; text++) {
      fraction += static_cast<uint32_t>(*text - '0') * unit;
      if (unit == 0 && *text != '0') beyond = true;
      unit /= 10;
    }
  }
  if (!negative) {
    seconds = whole;
    nanoseconds = fraction;
    return true;
  }
  // POSIX rounds towards minus infinity: -1.5 is 0.5 after -2.
  if (beyond) fraction++;
  seconds = fraction == 0 ? -whole : -whole - 1;
  nanoseconds = fraction == 0 ? 0 : 1'000'000'000 - fraction;
  return true;
}

}  // namespace boxctl::tar
