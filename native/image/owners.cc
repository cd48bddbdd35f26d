#include "owners.h"

#include <sys/stat.h>

namespace boxctl::image {

namespace {

// A decimal number of 32 bits that ends with `end`. Moves `text` behind that.
bool number(const char*& text, char end, uint32_t& value) {
  uint64_t read = 0;
  const char* const start = text;
  for (; *text >= '0' && *text <= '9' && read <= UINT32_MAX; text++)
    read = read * 10 + static_cast<unsigned>(*text - '0');
  if (text == start || read > UINT32_MAX || *text != end) return false;
  if (end != 0) text++;
  value = static_cast<uint32_t>(read);
  return true;
}

}  // namespace

bool Owners::Ranges::parse(const char*& text, char end) {
  for (;;) {
    if (count == kMaxRanges || !number(text, '+', first[count])) return false;
    const char* rest = text;
    if (number(rest, ',', size[count])) {
      text = rest;
      count++;
      continue;
    }
    return number(text, end, size[count++]);
  }
}

bool Owners::parse(const char* text) {
  if (*text == 0) return true;
  all_ = false;
  return users_.parse(text, ' ') && groups_.parse(text, 0);
}

bool Owners::Ranges::have(uint32_t id) const {
  for (size_t i = 0; i < count; i++) {
    if (id >= first[i] && id - first[i] < size[i]) return true;
  }
  return false;
}

bool Owners::squash(uint32_t& uid, uint32_t& gid, uint32_t& mode) const {
  if (all_) return false;
  const bool user = users_.have(uid), group = groups_.have(gid);
  if (user && group) return false;
  if (!user) uid = 0;
  if (!group) gid = 0;
  mode &= ~static_cast<uint32_t>(S_ISUID | S_ISGID);
  return true;
}

}  // namespace boxctl::image
