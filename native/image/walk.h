// The walk through an archive's entries, which the unpacker and the index have in common: where each entry goes, and
// when to stop. What is done with an entry is up to them.
#pragma once

#include <errno.h>

#include "names.h"
#include "tar.h"

namespace boxctl::image {

struct WalkOptions {
  Whiteouts whiteouts = Whiteouts::kNames;
  // Give up at the first entry when it looks as if the archive held an image in layers and not a root file system.
  bool stop_at_image = false;
  uint64_t entries = 4'000'000;
  // Takes the place of the first name of every path; "": what is in the first folder comes into the root. Null: paths
  // stay as they are.
  const char* top = nullptr;

  // A layer may have nothing in it; an archive that is to be a root file system may not.
  bool layer() const { return whiteouts != Whiteouts::kNames; }
};

enum class Walked { kEnd, kImage, kFailed };

// Whether an archive may hold an image in layers: `docker save` has a manifest.json, an OCI image layout an index.json
// and an oci-layout, anywhere among its members. Root file systems have files of these names, too: what is in them
// decides, and they are read when the archive is known as a whole (src/image/manifest.ts).
class ImageSigns {
 public:
  void see(const tar::Entry& entry);
  // A guess by the first member: tools write it first into the archive of an image.
  bool likely() const { return likely_; }
  // All members that an image must have were seen.
  bool complete() const { return manifest_ || (index_ && layout_); }

 private:
  bool first_ = true, likely_ = false, manifest_ = false, index_ = false, layout_ = false;
};

// `to` has a member function for each kind of entry, which is false after `to.fail(sentence, errno)` or
// `to.fail(Failure)`; `to.enter(folder)` comes before it.
template <typename Target>
bool take_entry(const tar::Entry& entry, const WalkOptions& options, Target& to) {
  const Whiteouts whiteouts = options.whiteouts;
  Path path;
  if (!normalise(entry.path, path)) return to.fail("the path leads outside of the archive");
  if (options.top != nullptr && !rename_top(path, options.top)) return to.fail("the path is too long", ENAMETOOLONG);
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
Walked walk(tar::Reader& reader, const WalkOptions& options, ImageSigns& signs, Target& to) {
  for (bool empty = !options.layer();; empty = false) {
    const tar::Reader::Step step = reader.next();
    if (step == tar::Reader::Step::kEnd) {
      if (!empty) return Walked::kEnd;
      to.fail("the archive has no entries");
      return Walked::kFailed;
    }
    const tar::Entry& entry = reader.entry();
    if (step == tar::Reader::Step::kError) {
      to.fail(reader.failure());
      return Walked::kFailed;
    }
    if (to.count() > options.entries) {
      to.fail("the archive has more entries than an image may have");
      return Walked::kFailed;
    }
    signs.see(entry);
    if (options.stop_at_image && signs.likely()) return Walked::kImage;
    if (!take_entry(entry, options, to)) return Walked::kFailed;
  }
}

}  // namespace boxctl::image
