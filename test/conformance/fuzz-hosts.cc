// Feeds arbitrary texts to what the launcher does with a container's /etc/hosts: the first bytes up to a NUL are the
// container's file, the rest the lines of other containers.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/launcher/hosts_text.h"

namespace {

void require(bool condition) {
  if (!condition) abort();
}

bool same(const boxctl::List<char>& one, const boxctl::List<char>& other) {
  return one.size() == other.size() && (one.size() == 0 || memcmp(one.begin(), other.begin(), one.size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const char* const bytes = reinterpret_cast<const char*>(data);
  const void* const nul = size == 0 ? nullptr : memchr(data, 0, size);
  const size_t split = nul == nullptr ? size : static_cast<size_t>(static_cast<const uint8_t*>(nul) - data);
  boxctl::List<char> text, lines, once, twice, none;
  size_t from = 0;
  require(text.add(bytes, split));
  if (split < size) require(lines.add(bytes + split + 1, size - split - 1));
  require(boxctl::with_hosts(text, lines, once, from));
  require(from <= text.size() && from <= once.size());
  require(from == 0 || memcmp(text.begin(), once.begin(), from) == 0);
  boxctl::List<char> without;
  size_t at = 0;
  require(boxctl::with_hosts(text, none, without, at));
  require(without.size() <= text.size());
  // Where names were added, nothing more changes while nobody comes or goes. The container may have written more of the
  // launcher's marks: without names to add, those are taken out one after the other.
  if (same(once, without)) return 0;
  require(boxctl::with_hosts(once, lines, twice, at));
  require(same(once, twice));
  return 0;
}
