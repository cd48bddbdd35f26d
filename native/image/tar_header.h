// What the parts of the tar reader have in common: a header as it lies in the archive, and what the headers before it
// say of the same entry. Only the files tar*.cc need it.
#pragma once

#include <string.h>

#include "tar.h"

namespace boxctl::tar {

inline constexpr size_t kBlock = 512;
inline constexpr uint64_t kMaxSize = INT64_MAX;

inline uint64_t padding_of(uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

// A block of the archive, by its places in ustar. GNU's sparse map lies where ustar has its prefix.
struct Reader::Header {
  char bytes[kBlock];

  const char* name() const { return bytes; }
  const char* mode() const { return bytes + 100; }
  const char* uid() const { return bytes + 108; }
  const char* gid() const { return bytes + 116; }
  const char* size() const { return bytes + 124; }
  const char* mtime() const { return bytes + 136; }
  char type() const { return bytes[156]; }
  const char* link() const { return bytes + 157; }
  const char* major() const { return bytes + 329; }
  const char* minor() const { return bytes + 337; }
  const char* prefix() const { return bytes + 345; }
  const char* sparse() const { return bytes + 386; }
  char extended() const { return bytes[482]; }
  const char* real_size() const { return bytes + 483; }

  // A header that describes the next entry, or with `g` all that follow.
  bool describes_next() const {
    return type() == 'x' || type() == 'X' || type() == 'g' || type() == 'L' || type() == 'K';
  }

  bool posix() const { return memcmp(bytes + 257, "ustar\0", 6) == 0; }
  bool gnu() const { return memcmp(bytes + 257, "ustar  ", 8) == 0; }

  bool empty() const {
    for (char byte : bytes) {
      if (byte != 0) return false;
    }
    return true;
  }

  // The sum of the bytes with the field itself as spaces. Old archives added signed bytes.
  bool checksum_matches() const {
    int64_t stated;
    if (!parse_number(bytes + 148, 8, stated)) return false;
    // All of it without a branch, then the field taken out again.
    unsigned sum = 0;
    for (char byte : bytes) sum += static_cast<unsigned char>(byte);
    int signed_sum = 0;
    for (char byte : bytes) signed_sum += static_cast<signed char>(byte);
    for (size_t i = 148; i < 156; i++) {
      sum += ' ' - static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
      signed_sum += ' ' - static_cast<signed char>(bytes[i]);
    }
    return stated == sum || stated == signed_sum;
  }
};

// What a pax header says in place of the entry's own fields.
struct Reader::Overrides {
  bool path = false, link = false, size = false, uid = false, gid = false, mtime = false;
  uint64_t size_value = 0, uid_value = 0, gid_value = 0;
  int64_t mtime_value = 0;
  uint32_t mtime_ns = 0;

  bool sparse = false, sparse_name = false, has_real_size = false;
  uint64_t sparse_major = 0, sparse_minor = 0, real_size = 0;
  bool has_pending_offset = false;
  uint64_t pending_offset = 0;
};

// What the headers before an entry's own say of it.
struct Reader::Preceding {
  bool any = false;
  // There are GNU's long names, in Reader::long_path_ and long_link_.
  bool long_path = false, long_link = false;
  Overrides pax;
};

}  // namespace boxctl::tar
