// What the unpacker and the index of an archive do in the same way: where an entry goes, and which of its attributes
// are kept.
#pragma once

#include "tar.h"

namespace boxctl::image {

// A path of the archive: relative, without empty components and ".".
struct Path {
  char text[tar::kMaxPath];
  const char* folder;  // "" for the root of the tree
  const char* name;    // "" when the path is the root itself
};

// The whole path as one text; "" for the root.
void join(const Path& path, char (&whole)[tar::kMaxPath + 1]);

// What names that begin with `.wh.` are.
enum class Whiteouts {
  kNames,    // names like others: the archive is a root file system
  kMarks,    // they take away what layers below have: it is a layer
  kDropped,  // it is the lowest layer, and there is nothing to take away
};

// False for a path with a component "..": no honest archive has one, and to drop it would give the file another place.
// `from` is shorter than kMaxPath.
bool normalise(const char* from, Path& path);

// Puts `top` in the place of the first name of the path; "" takes it away. False: the path becomes too long.
bool rename_top(Path& path, const char* top);

// Overlay's own attributes would redirect what is looked up in the layer above (they come from another overlay, or from
// an attacker). Labels and signatures of the host's security modules mean nothing in a container.
bool keeps_attribute(const char* name);

// What the name of an entry means in a layer (OCI image specification, "Representing Changes"; the names come from
// aufs).
enum class LayerName {
  kPlain,
  kWhiteout,  // `.wh.NAME`: NAME of the layers below is gone
  kOpaque,    // `.wh..wh..opq`: all that the layers below have in this folder is gone
  kMeta,      // `.wh..wh.` and more: what aufs keeps for itself
  kBad,       // a whiteout of nothing, of `.`, or of `..`
};
LayerName layer_name(const char* name);
// The same of a whole path; what lies below aufs' own is aufs' own. False: the path leads through a whiteout.
bool layer_path(const Path& path, LayerName& kind);
inline constexpr size_t kWhiteoutPrefix = 4;

}  // namespace boxctl::image
