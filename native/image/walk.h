// The way through an archive that the unpacker and the index have in common: which entries there are, where they go,
// and when to stop. What becomes of each is theirs.
#pragma once

#include "names.h"
#include "tar.h"

namespace boxctl::image {

struct WalkOptions {
  Whiteouts whiteouts = Whiteouts::kNames;
  // Give up at the first entry when it shows that the archive holds an image in layers and not a root file system.
  bool refuse_image = false;
  uint64_t entries = 4'000'000;
};

enum class Walked { kEnd, kImage, kFailed };

// Whether the path is one of the archive's root, `./`, which says nothing of what the archive holds.
bool is_root(const char* path);

// Whether an entry of this path comes first in an archive that holds an image: what `docker save` and `podman save`
// write, or an OCI image layout.
bool begins_image(const char* path);

// `to` has a member function for each kind of entry, which is false after `to.fail(sentence, errno)`;
// `to.enter(folder)` comes before it.
template <typename Target>
bool take_entry(const tar::Entry& entry, Whiteouts whiteouts, Target& to) {
  Path path;
  if (!normalise(entry.path, path)) return to.fail("the path leads outside of the archive");
  if (*path.name == 0 && entry.type != tar::Type::kDirectory) return to.fail("the path is empty");
  LayerName kind = LayerName::kPlain;
  if (whiteouts != Whiteouts::kNames) {
    if (!layer_path(path, kind)) return to.fail("the path leads through a whiteout");
    if (kind == LayerName::kMeta) return to.skip();
  }
  if (!to.enter(path.folder)) return false;
  if (kind != LayerName::kPlain) return to.whiteout(path, kind);
  switch (entry.type) {
    case tar::Type::kFile:
      return to.file(entry, path);
    case tar::Type::kDirectory:
      return to.directory(entry, path);
    case tar::Type::kSymlink:
      return to.symlink(entry, path);
    case tar::Type::kHardLink:
      return to.hard_link(entry, path);
    case tar::Type::kCharacter:
    case tar::Type::kBlock:
    case tar::Type::kFifo:
      return to.special(entry, path);
    case tar::Type::kUnknown:
      return to.skip();
  }
  return true;
}

// Reads to the archive's end mark. `to.count()` is told of each entry and returns how many there have been.
template <typename Target>
Walked walk(tar::Reader& reader, const WalkOptions& options, Target& to) {
  for (bool undecided = options.refuse_image;;) {
    const tar::Reader::Step step = reader.next();
    if (step == tar::Reader::Step::kEnd) return Walked::kEnd;
    const tar::Entry& entry = reader.entry();
    if (step == tar::Reader::Step::kError) {
      to.fail(reader.error(), reader.error_number());
      return Walked::kFailed;
    }
    if (to.count() > options.entries) {
      to.fail("the archive has more entries than an image may have");
      return Walked::kFailed;
    }
    if (undecided && !is_root(entry.path)) {
      undecided = false;
      if (begins_image(entry.path)) return Walked::kImage;
    }
    if (!take_entry(entry, options.whiteouts, to)) return Walked::kFailed;
  }
}

}  // namespace boxctl::image
