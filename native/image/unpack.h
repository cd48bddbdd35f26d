// Unpacks a tar stream as hostile input. What confines it is the kernel: every path is resolved by openat2(2) beneath
// the target, without following a single link, and used through the descriptor.
#pragma once

#include <stdint.h>

#include "flow.h"
#include "owners.h"
#include "paths.h"
#include "walk.h"

namespace boxctl {

struct UnpackOptions {
  // Marks of whiteouts are those that overlay mounted with `userxattr` understands.
  image::WalkOptions walk;
  // A layer's hard links may lead to files of the layers below; false: those come first in the stream.
  bool links_below = true;
  image::Owners owners;
  uint64_t bytes = uint64_t{256} << 30;  // of data in the stream; holes cost nothing
  // Others use the folder meanwhile, and what is there belongs to them: no folder is replaced, nor put in the place of
  // something else; the root stays as it is; nothing is changed by a name that may lead elsewhere by then.
  bool live = false;
};

// The most of Unpacked::implied and of Unpacked::wanted.
inline constexpr size_t kMaxImplied = 8192;
inline constexpr size_t kMaxWanted = 8192;

struct Unpacked {
  uint64_t entries = 0;
  uint64_t bytes = 0;
  // Owners that do not exist in this user namespace and became 0.
  uint64_t squashed = 0;
  // Device nodes and extended attributes that may not be made here, and entries of no known type.
  uint64_t skipped = 0;
  // Of a layer: where hard links lead that have no target in it. They are not made.
  image::Paths wanted;
  // Of a layer: the folders below the root that no entry names, and that were made because an entry lies in them.
  image::Paths implied;

  Failure failure;
  char entry[tar::kMaxPath] = {};  // that the failure is about, or ""
  // A layer hides all that is below it.
  bool opaque_root = false;
  // The archive may hold an image in layers. `stopped`: that was told by its first entry, and nothing was unpacked.
  bool image = false;
  bool stopped = false;
};

// Reads the stream of the tap, of which nothing may have been taken, to its end into the directory `dirfd`. After an
// error the tree is half done. The umask must be 0.
Unpacked unpack(int dirfd, image::Stage::Tap& tap, const UnpackOptions& options);

}  // namespace boxctl
