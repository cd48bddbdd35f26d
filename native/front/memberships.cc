#include "memberships.h"

#include <string.h>

namespace boxctl {
namespace {

struct Word {
  const char* data = "";
  size_t size = 0;

  bool operator==(const Word& other) const {
    if (size != other.size || data == nullptr || other.data == nullptr) return size == 0 && other.size == 0;
    return memcmp(data, other.data, size) == 0;
  }
  bool is(const char* text) const { return *this == Word{text, strlen(text)}; }
};

// By family; empty where it has none.
struct Membership {
  Word id;
  Word subnet[2];
  Word address[2];
};

// Reads the lists that JSON.stringify has made. What looks otherwise is not sound.
class Memberships {
 public:
  Memberships(const char* text, size_t size) : at_(text), end_(text + size) {
    constexpr char kList[] = "\"networks\":[";
    constexpr size_t kSize = sizeof kList - 1;
    while (static_cast<size_t>(end_ - at_) >= kSize && memcmp(at_, kList, kSize) != 0) at_++;
    sound_ = static_cast<size_t>(end_ - at_) >= kSize;
    if (sound_) at_ += kSize;
  }
  // False at the end.
  bool next(Membership& found) {
    if (!sound_ || take(']')) return false;
    found = {};
    if (!take('{')) return fail();
    do {
      Word key;
      Word value;
      if (!word(key) || !take(':') || !word(value)) return fail();
      Word* const place = place_of(found, key);
      if (place == nullptr) return fail();
      *place = value;
    } while (take(','));
    if (!take('}') || found.id.size == 0) return fail();
    if (!take(',') && (at_ == end_ || *at_ != ']')) return fail();
    return true;
  }
  bool sound() const { return sound_; }

 private:
  static Word* place_of(Membership& found, const Word& key) {
    if (key.is("id")) return &found.id;
    if (key.is("subnet4")) return &found.subnet[0];
    if (key.is("subnet6")) return &found.subnet[1];
    if (key.is("address4")) return &found.address[0];
    return key.is("address6") ? &found.address[1] : nullptr;
  }
  bool fail() { return sound_ = false; }
  bool take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    at_++;
    return true;
  }
  bool word(Word& found) {
    if (!take('"')) return false;
    found.data = at_;
    while (at_ < end_ && *at_ != '"' && *at_ != '\\') at_++;
    found.size = static_cast<size_t>(at_ - found.data);
    return take('"');
  }

  const char* at_;
  const char* end_;
  bool sound_;
};

Word prefix_of(const Word& subnet) {
  const auto* const slash = static_cast<const char*>(memchr(subnet.data, '/', subnet.size));
  if (slash == nullptr) return {};
  return {slash, static_cast<size_t>(subnet.data + subnet.size - slash)};
}

// Subnets with the same prefix are equal or have no address in common.
bool are_apart(const Word& one, const Word& other) {
  if (one.size == 0 || other.size == 0) return true;
  const Word prefix = prefix_of(one);
  return prefix.size > 0 && prefix == prefix_of(other) && !(one == other);
}

bool are_beside(const Membership& own, const Membership& other) {
  const bool same = own.id == other.id;
  for (int family = 0; family < 2; family++) {
    const Word& subnet = own.subnet[family];
    const Word& address = own.address[family];
    if (!same) {
      if (!are_apart(subnet, other.subnet[family])) return false;
    } else if (!(subnet == other.subnet[family]) || (address.size > 0 && address == other.address[family])) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool may_be_beside(const char* own, size_t own_size, const char* other, size_t other_size) {
  Memberships all(own, own_size);
  Membership mine;
  while (all.next(mine)) {
    Memberships others(other, other_size);
    Membership theirs;
    while (others.next(theirs)) {
      if (!are_beside(mine, theirs)) return false;
    }
    if (!others.sound()) return false;
  }
  return all.sound();
}

}  // namespace boxctl
