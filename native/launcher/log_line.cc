#include "log_line.h"

#include <string.h>

namespace boxctl {
namespace {

constexpr char kText[] = "{\"log\":\"";
constexpr char kBase64[] = "{\"log_base64\":\"";
constexpr char kOut[] = "\",\"stream\":\"stdout\",\"time\":\"";
constexpr char kErr[] = "\",\"stream\":\"stderr\",\"time\":\"";
constexpr char kEnd[] = "\"}\n";
constexpr char kHex[] = "0123456789abcdef";
constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

template <size_t N>
char* put(char* at, const char (&text)[N]) {
  memcpy(at, text, N - 1);
  return at + N - 1;
}

char* put_end(char* at, Stream stream, const TimeText& time) {
  at = stream == Stream::kErr ? put(at, kErr) : put(at, kOut);
  memcpy(at, time.text, sizeof time.text);
  return put(at + sizeof time.text, kEnd);
}

// Whether JSON has one of eight bytes as it is: not control characters, the quote, the backslash, and what is beyond
// ASCII.
bool is_plain(uint64_t eight) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighs = 0x8080808080808080;
  const uint64_t quotes = eight ^ kOnes * '"';
  const uint64_t slashes = eight ^ kOnes * '\\';
  const uint64_t found = (eight - kOnes * 0x20) | (quotes - kOnes) | (slashes - kOnes) | eight;
  return (found & kHighs) == 0;
}

enum class Sequence { kValid, kInvalid, kCut };

bool is_between(uint8_t byte, uint8_t least, uint8_t most) { return byte >= least && byte <= most; }

// The UTF-8 character that begins at `at`, with a byte beyond ASCII (RFC 3629, section 4).
Sequence look_at(const uint8_t* at, size_t left, size_t& size) {
  const uint8_t first = at[0];
  size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (!is_between(first, 0xc2, 0xf4)) return Sequence::kInvalid;
  for (size_t i = 1; i < size; i++) {
    if (i == left) return Sequence::kCut;
    const uint8_t least = i == 1 && first == 0xe0 ? 0xa0 : i == 1 && first == 0xf0 ? 0x90 : 0x80;
    const uint8_t most = i == 1 && first == 0xed ? 0x9f : i == 1 && first == 0xf4 ? 0x8f : 0xbf;
    if (!is_between(at[i], least, most)) return Sequence::kInvalid;
  }
  return Sequence::kValid;
}

char* put_escaped(char* at, uint8_t byte) {
  *at++ = '\\';
  switch (byte) {
    case '"':
    case '\\':
      *at++ = static_cast<char>(byte);
      return at;
    case '\t':
      *at++ = 't';
      return at;
    case '\r':
      *at++ = 'r';
      return at;
    default:
      at = put(at, "u00");
      *at++ = kHex[byte >> 4];
      *at++ = kHex[byte & 15];
      return at;
  }
}

Encoded encode_base64(const uint8_t* bytes, size_t size, Stream stream, const TimeText& time, char* out) {
  Encoded result;
  while (result.taken < size && !result.whole) result.whole = bytes[result.taken++] == '\n';
  if (result.taken == kPiece) result.whole = true;
  char* at = put(out, kBase64);
  for (size_t i = 0; i < result.taken; i += 3) {
    const size_t left = result.taken - i;
    const uint32_t group = static_cast<uint32_t>(bytes[i]) << 16 |
                           (left > 1 ? static_cast<uint32_t>(bytes[i + 1]) << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
    *at++ = kDigits[group >> 18];
    *at++ = kDigits[group >> 12 & 63];
    *at++ = left > 1 ? kDigits[group >> 6 & 63] : '=';
    *at++ = left > 2 ? kDigits[group & 63] : '=';
  }
  result.written = static_cast<size_t>(put_end(at, stream, time) - out);
  return result;
}

void put_number(char* at, unsigned digits, uint64_t value) {
  while (digits-- > 0) {
    at[digits] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace

TimeText time_text(uint64_t ns_since_1970) {
  const uint64_t seconds = ns_since_1970 / 1'000'000'000;
  const uint64_t of_day = seconds % 86400;
  // Days since 0000-03-01, so that a leap day is the last of its year, of the 400 years after which the calendar
  // repeats.
  const uint64_t days = seconds / 86400 + 719468;
  const uint64_t era = days / 146097;
  const uint64_t day = days % 146097;
  const uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  const uint64_t of_year = day - (365 * year + year / 4 - year / 100);
  // Months from March on have 153 days in each five of them.
  const uint64_t month = (5 * of_year + 2) / 153;
  const uint64_t real_month = month < 10 ? month + 3 : month - 9;
  TimeText time;
  memcpy(time.text, "0000-00-00T00:00:00.000000000Z", sizeof time.text);
  put_number(time.text, 4, era * 400 + year + (real_month <= 2 ? 1 : 0));
  put_number(time.text + 5, 2, real_month);
  put_number(time.text + 8, 2, of_year - (153 * month + 2) / 5 + 1);
  put_number(time.text + 11, 2, of_day / 3600);
  put_number(time.text + 14, 2, of_day / 60 % 60);
  put_number(time.text + 17, 2, of_day % 60);
  put_number(time.text + 20, 9, ns_since_1970 % 1'000'000'000);
  return time;
}

size_t whole_characters(const char* bytes, size_t size) {
  const auto* const in = reinterpret_cast<const uint8_t*>(bytes);
  for (size_t back = 1; back <= 3 && back <= size; back++) {
    const uint8_t byte = in[size - back];
    if (is_between(byte, 0x80, 0xbf)) continue;
    size_t length;
    const bool is_cut = byte >= 0x80 && look_at(in + size - back, back, length) == Sequence::kCut;
    return is_cut ? size - back : size;
  }
  return size;
}

Encoded encode_piece(const char* bytes, size_t size, Stream stream, const TimeText& time, bool final, char* out) {
  const auto* const in = reinterpret_cast<const uint8_t*>(bytes);
  const size_t limit = size < kPiece ? size : kPiece;
  Encoded result;
  char* at = put(out, kText);
  size_t i = 0;
  while (i < limit && !result.whole) {
    uint64_t eight;
    while (i + sizeof eight <= limit) {
      memcpy(&eight, in + i, sizeof eight);
      if (!is_plain(eight)) break;
      memcpy(at, &eight, sizeof eight);
      at += sizeof eight;
      i += sizeof eight;
    }
    if (i == limit) break;
    const uint8_t byte = in[i];
    if (byte == '\n') {
      at = put(at, "\\n");
      i++;
      result.whole = true;
    } else if (byte >= 0x80) {
      size_t length;
      const Sequence sequence = look_at(in + i, limit - i, length);
      const bool cut_by_end = sequence == Sequence::kCut && limit == size;
      if (sequence == Sequence::kInvalid || (cut_by_end && final)) {
        return encode_base64(in, limit, stream, time, out);
      }
      if (sequence == Sequence::kCut) {
        result.whole = !cut_by_end;
        break;
      }
      memcpy(at, in + i, length);
      at += length;
      i += length;
    } else if (byte < 0x20 || byte == '"' || byte == '\\') {
      at = put_escaped(at, byte);
      i++;
    } else {
      *at++ = static_cast<char>(byte);
      i++;
    }
  }
  if (i == kPiece) result.whole = true;
  result.taken = i;
  result.written = static_cast<size_t>(put_end(at, stream, time) - out);
  return result;
}

size_t decoded_size(const char* line, size_t size) {
  const bool is_base64 = size > sizeof kBase64 && memcmp(line, kBase64, sizeof kBase64 - 1) == 0;
  size_t count = 0;
  for (size_t i = (is_base64 ? sizeof kBase64 : sizeof kText) - 1; i < size && line[i] != '"'; i++) {
    if (!is_base64 && line[i] == '\\' && i + 1 < size) i += line[i + 1] == 'u' ? 5 : 1;
    if (!is_base64 || line[i] != '=') count++;
  }
  return is_base64 ? count * 3 / 4 : count;
}

}  // namespace boxctl
