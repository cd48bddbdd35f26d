// What the unpacker and the index of an archive must agree on: where an entry goes, and which of its attributes it
// keeps.
#pragma once

#include "tar.h"

namespace boxctl::image {

// A path of the archive: relative, without empty components and ".".
struct Path {
  char text[tar::kMaxPath];
  const char* folder;  // "" for the root of the tree
  const char* name;    // "" when the path is the root itself
};

// False for a path with a component "..": no honest archive has one, and to drop it would give the file another place.
// `from` is shorter than kMaxPath.
bool normalise(const char* from, Path& path);

// Overlay's own attributes would redirect what is looked up in the layer above (they come from another overlay, or from
// an attacker); labels and signatures of the host's security modules mean nothing here.
bool keeps_attribute(const char* name);

}  // namespace boxctl::image
