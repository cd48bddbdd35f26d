// What a folder gets only after its contents: its mode, which may forbid to write into it; its time, which changes when
// something is made in it; and its default ACL, which would be inherited by what is made in it.
#pragma once

#include <stdint.h>
#include <time.h>

#include "../shared/failure.h"
#include "../shared/list.h"
#include "names.h"
#include "owner.h"

namespace boxctl::image {

class LateFolders {
 public:
  // Keeps it for later. `mode`: what the folder gets, which is the entry's own unless its owner was changed.
  Failure add(const Path& path, const tar::Entry& entry, const Owners& owners, uint32_t mode);
  // Gives all of them what they are to have, in the archive's order, so that of two entries for one folder the last one
  // wins.
  Failure finish(int root, Losses& losses) const;

 private:
  struct Folder {
    size_t path;  // in text_, with a NUL
    uint32_t mode;
    struct timespec time;
    size_t acl;  // in text_
    size_t acl_size;
    bool has_acl;
  };

  List<Folder> folders_;
  List<char> text_;
};

}  // namespace boxctl::image
