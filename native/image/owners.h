// Which owners an image's files may have: the ids that its containers will have. An id-mapped mount shows all others as
// the overflow id (65534). So files of others become root's, and are counted.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl::image {

class Owners {
 public:
  // Files stay their maker's, and set nobody's id: what the archive says of owners means nothing here.
  void keep_makers() { makers_ = true; }
  bool makers() const { return makers_; }

  // "0+65536,100000+10" for users, a blank, and the same for groups; "" for all there are. False: malformed, or more
  // ranges than the kernel has for a map.
  bool parse(const char* text);

  // Gives what is not among them to 0, without set-id bits: they would lend the rights of another user than the archive
  // meant. True when something was changed.
  bool squash(uint32_t& uid, uint32_t& gid, uint32_t& mode) const;

 private:
  // user_namespaces(7): a map has 340 lines at most.
  static constexpr size_t kMaxRanges = 340;
  struct Ranges {
    uint32_t first[kMaxRanges], size[kMaxRanges];
    size_t count = 0;

    bool have(uint32_t id) const;
    bool parse(const char*& text, char end);
  };
  bool all_ = true, makers_ = false;
  Ranges users_, groups_;
};

}  // namespace boxctl::image
