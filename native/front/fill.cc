#include "fill.h"

#include <string.h>

#include "kept.h"

namespace boxctl {
namespace {

// MAX_ARG_STRLEN of Linux: execve(2) takes no longer one.
constexpr size_t kMostValue = 128 * 1024;
// Shorter than each form of a secret that is known by its letters alone (src/model/secrets.ts).
constexpr size_t kMostWord = 12;

bool is_of_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// Passwords in URLs come before `@`, others after `=`, keys after dashes; tokens are long words.
bool is_plain(const char* value) {
  if (strchr(value, '@') != nullptr || strchr(value, '=') != nullptr || strstr(value, "-----") != nullptr) return false;
  size_t word = 0;
  for (const char* at = value; *at != '\0'; at++) {
    word = is_of_word(*at) ? word + 1 : 0;
    if (word > kMostWord) return false;
  }
  return true;
}

// Where the number is not aligned.
bool grow(List<uint8_t>& bytes, size_t at, size_t more) {
  uint32_t number = 0;
  if (at > bytes.size() || bytes.size() - at < sizeof number) return false;
  memcpy(&number, bytes.begin() + at, sizeof number);
  if (more > UINT32_MAX - number) return false;
  number += static_cast<uint32_t>(more);
  memcpy(bytes.begin() + at, &number, sizeof number);
  return true;
}

bool add_text(List<uint8_t>& bytes, const char* text, size_t size) {
  return bytes.add(reinterpret_cast<const uint8_t*>(text), size);
}

// As JSON.stringify writes it.
bool add_json(List<uint8_t>& bytes, const char* value) {
  constexpr char kShort[] = "\b\f\n\r\t\"\\";
  constexpr char kLetters[] = "bfnrt\"\\";
  for (const char* at = value; *at != '\0'; at++) {
    const char* const known = strchr(kShort, *at);
    bool added = false;
    if (known != nullptr) {
      const char escaped[] = {'\\', kLetters[known - kShort]};
      added = add_text(bytes, escaped, sizeof escaped);
    } else if (static_cast<unsigned char>(*at) < 0x20) {
      const char escaped[] = {'\\', 'u', '0', '0', *at < 0x10 ? '0' : '1', "0123456789abcdef"[*at & 15]};
      added = add_text(bytes, escaped, sizeof escaped);
    } else {
      added = add_text(bytes, at, 1);
    }
    if (!added) return false;
  }
  return true;
}

}  // namespace

bool may_be_put_in(const char* value, bool plain) {
  const size_t size = strlen(value);
  if (size == 0 || size > kMostValue) return false;
  for (size_t i = 0; i < size; i++) {
    // Node makes text of these bytes, which may not be the same bytes afterwards.
    if (static_cast<unsigned char>(value[i]) >= 0x80) return false;
  }
  return !plain || is_plain(value);
}

bool read_places(const Program& program, Reader& in, uint32_t count, bool has_size, size_t size, List<Place>& places) {
  size_t before = 0;
  for (uint32_t i = 0; i < count; i++) {
    Place place;
    place.at = in.u32();
    if (has_size) place.size_at = in.u32();
    const Piece name = read_piece(in);
    if (!in.ok() || strlen(name.data) != name.size || place.at < before || place.at > size) return false;
    place.value = variable(program, name.data);
    // That it may be put in was seen when it was compared.
    if (place.value == nullptr || !places.add(place)) return false;
    before = place.at;
  }
  return true;
}

bool fill_plan(const uint8_t* plan, size_t size, const List<Place>& places, List<uint8_t>& filled) {
  size_t from = 0;
  size_t size_at = 0;
  for (const Place& place : places) {
    // A second place of the same text has the same number before it.
    if (place.size_at >= from) size_at = filled.size() + place.size_at - from;
    const size_t more = strlen(place.value);
    if (!filled.add(plan + from, place.at - from) || !add_text(filled, place.value, more)) return false;
    if (!grow(filled, size_at, more) || !grow(filled, offsetof(PlanHeader, size), more)) return false;
    from = place.at;
  }
  return filled.add(plan + from, size - from);
}

bool fill_json(const uint8_t* bytes, size_t from, size_t to, const List<Place>& places, List<uint8_t>& filled) {
  size_t done = from;
  for (const Place& place : places) {
    if (place.at <= from || place.at >= to) continue;
    if (!filled.add(bytes + done, place.at - done) || !add_json(filled, place.value)) return false;
    done = place.at;
  }
  return filled.add(bytes + done, to - done);
}

bool read_variant(Reader& in, size_t size, Variant& variant) {
  variant.pieces = in.u32();
  variant.at = in.at();
  for (uint32_t i = 0; i < variant.pieces && in.ok(); i++) {
    const uint32_t at = in.u32();
    const uint32_t count = in.u32();
    in.take(count);
    if (at > size || count > size - at) return false;
  }
  return in.ok();
}

void apply(const Variant& variant, uint8_t* bytes) {
  const uint8_t* from = variant.at;
  for (uint32_t i = 0; i < variant.pieces; i++) {
    uint32_t at = 0;
    uint32_t count = 0;
    memcpy(&at, from, sizeof at);
    memcpy(&count, from + sizeof at, sizeof count);
    from += sizeof at + sizeof count;
    memcpy(bytes + at, from, count);
    from += count;
  }
}

}  // namespace boxctl
