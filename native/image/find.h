// Finds what a path leads to in a root, as a command inside would, and keeps hold of the folder that it lies in.
#pragma once

#include <limits.h>

#include "../shared/failure.h"
#include "../shared/fd.h"

namespace boxctl::image {

enum class Kind { kMissing, kFolder, kOther };

// A name in an open folder: "." is the folder itself.
struct Found {
  Fd folder;
  char name[NAME_MAX + 1] = {};
  Kind kind = Kind::kMissing;
  // The path ends in a way that only a folder's may.
  bool must_be_folder = false;
};

// Links are followed within the root: all on the way, and with `follow` one at the end. What has no folder to lie in is
// a failure; what is missing in its folder is not.
Failure find(int root, const char* path, bool follow, Found& found);

}  // namespace boxctl::image
