// Numbers and addresses from texts.
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace {

// The value of a digit of any base up to 36; 99 for what is none.
unsigned digit_of(char character) {
  if (character >= '0' && character <= '9') return static_cast<unsigned>(character - '0');
  if (character >= 'a' && character <= 'z') return static_cast<unsigned>(character - 'a') + 10;
  if (character >= 'A' && character <= 'Z') return static_cast<unsigned>(character - 'A') + 10;
  return 99;
}

bool is_space(char character) { return character == ' ' || (character >= '\t' && character <= '\r'); }

struct Parsed {
  unsigned long magnitude = 0;
  bool negative = false;
  bool overflows = false;
};

// `end`: after the last digit; at the beginning where there is none.
Parsed parse(const char* text, char** end, int base) {
  Parsed result;
  const char* at = text;
  while (is_space(*at)) at++;
  if (*at == '+' || *at == '-') result.negative = *at++ == '-';
  const bool prefixed = at[0] == '0' && (at[1] == 'x' || at[1] == 'X') && digit_of(at[2]) < 16;
  if ((base == 0 || base == 16) && prefixed) {
    at += 2;
    base = 16;
  }
  if (base == 0) base = *at == '0' ? 8 : 10;
  const auto radix = static_cast<unsigned>(base);
  const char* const first = at;
  for (unsigned digit; (digit = digit_of(*at)) < radix; at++) {
    if (__builtin_mul_overflow(result.magnitude, radix, &result.magnitude) ||
        __builtin_add_overflow(result.magnitude, digit, &result.magnitude)) {
      result.overflows = true;
    }
  }
  if (end != nullptr) *end = const_cast<char*>(at == first ? text : at);
  return result;
}

bool parse_ipv4(const char* text, uint8_t* out) {
  for (int i = 0; i < 4; i++) {
    if (i > 0 && *text++ != '.') return false;
    const size_t digits = strspn(text, "0123456789");
    // 010 would be read as octal elsewhere.
    if (digits == 0 || digits > 3 || (digits > 1 && *text == '0')) return false;
    unsigned value = 0;
    for (size_t d = 0; d < digits; d++) value = 10 * value + digit_of(*text++);
    if (value > 255) return false;
    out[i] = static_cast<uint8_t>(value);
  }
  return *text == '\0';
}

// Groups of hexadecimal digits; `::` once, for as many zeroes as are missing; an IPv4 address as the last two groups.
bool parse_ipv6(const char* text, uint8_t* out) {
  constexpr size_t kSize = 16;
  uint8_t bytes[kSize] = {};
  size_t count = 0;
  size_t gap = kSize + 1;  // the place of `::`
  if (text[0] == ':' && text[1] != ':') return false;
  while (*text != '\0') {
    if (text[0] == ':' && text[1] == ':') {
      if (gap <= kSize) return false;
      gap = count;
      text += 2;
      continue;
    }
    // A single colon stands between two groups.
    if (count > 0 && gap != count) {
      if (*text++ != ':') return false;
    }
    if (count + 4 <= kSize && parse_ipv4(text, bytes + count)) {
      count += 4;
      break;
    }
    size_t digits = 0;
    unsigned value = 0;
    for (; digit_of(*text) < 16; text++, digits++) {
      if (digits == 4) return false;
      value = 16 * value + digit_of(*text);
    }
    if (digits == 0 || count + 2 > kSize) return false;
    bytes[count++] = static_cast<uint8_t>(value >> 8);
    bytes[count++] = static_cast<uint8_t>(value);
  }
  if (gap > kSize ? count != kSize : count == kSize) return false;
  if (gap <= kSize) {
    const size_t after = count - gap;
    memmove(bytes + kSize - after, bytes + gap, after);
    memset(bytes + gap, 0, kSize - count);
  }
  memcpy(out, bytes, kSize);
  return true;
}

}  // namespace

extern "C" {

unsigned long strtoul(const char* text, char** end, int base) noexcept {
  const Parsed parsed = parse(text, end, base);
  if (parsed.overflows) {
    errno = ERANGE;
    return ULONG_MAX;
  }
  return parsed.negative ? 0 - parsed.magnitude : parsed.magnitude;
}

unsigned long long strtoull(const char* text, char** end, int base) noexcept { return strtoul(text, end, base); }

long strtol(const char* text, char** end, int base) noexcept {
  const Parsed parsed = parse(text, end, base);
  const unsigned long limit = parsed.negative ? 1UL + LONG_MAX : LONG_MAX;
  if (parsed.overflows || parsed.magnitude > limit) {
    errno = ERANGE;
    return parsed.negative ? LONG_MIN : LONG_MAX;
  }
  return static_cast<long>(parsed.negative ? 0 - parsed.magnitude : parsed.magnitude);
}

int inet_pton(int family, const char* text, void* address) noexcept {
  auto* const out = static_cast<uint8_t*>(address);
  if (family == AF_INET6) return parse_ipv6(text, out) ? 1 : 0;
  if (family != AF_INET) {
    errno = EAFNOSUPPORT;
    return -1;
  }
  uint8_t bytes[4];
  if (!parse_ipv4(text, bytes)) return 0;
  memcpy(out, bytes, sizeof bytes);
  return 1;
}

}  // extern "C"
