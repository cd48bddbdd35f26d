// Reads an archive into a tree, entry by entry, with the meaning that the unpacker gives them (unpack.cc), but without
// its data: where that lies is all that is kept.
#pragma once

#include "../shared/failure.h"
#include "owners.h"
#include "tree.h"
#include "walk.h"

namespace boxctl::image {

struct IndexOptions {
  WalkOptions walk;
  // As the unpacker's (unpack.h).
  bool links_below = true;
  Owners owners;
  uint64_t bytes = uint64_t{256} << 30;  // of data in the archive; holes cost nothing
  // Of the index; the memory that it takes to make one is bounded by a few times this.
  uint64_t index_bytes = uint64_t{256} << 20;
};

enum class Outcome {
  kDone,
  kRefused,     // the archive is bad or goes beyond a limit, or something could not be read or written
  kUnsuitable,  // the archive may be good, but cannot be used in place: unpack it
};

// What there is to say at the end.
struct IndexReport {
  Outcome outcome = Outcome::kDone;
  // The archive may hold an image in layers.
  bool image = false;
  // Owners that are not among `owners` and became 0.
  uint64_t squashed = 0;
  uint64_t entries = 0;
  uint64_t bytes = 0;
  // Extended attributes that are not kept, marks of overlay's, and entries of no known type.
  uint64_t skipped = 0;
  // Folders that no entry names.
  uint64_t implied = 0;
  // All that layers below have is gone. Overlay does not look for this mark at the root, so it is not set there: leave
  // them out of the stack.
  bool opaque_root = false;

  Failure failure;
  char entry[tar::kMaxPath] = {};  // that the failure is about, or ""

  bool fail(const Failure& why, Outcome what = Outcome::kRefused) {
    outcome = what;
    failure = why;
    return false;
  }
};

class Scan {
 public:
  // `base` is where the stream begins in the file that will be the device.
  Scan(tar::Reader& reader, uint64_t base, const IndexOptions& options, Tree& tree, IndexReport& report)
      : reader_(reader), base_(base), options_(options), tree_(tree), report_(report) {}
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // Reads to the archive's end mark.
  bool run();

  // What walk() calls.
  bool fail(const Failure& failure) { return report_.fail(failure); }
  bool fail(const char* why, int number = 0) { return report_.fail({why, number}); }
  bool skip() {
    report_.skipped++;
    return true;
  }
  uint64_t count() { return ++report_.entries; }
  bool enter(const char* folder);
  bool whiteout(const Path& path, LayerName kind);
  bool file(const tar::Entry& entry, const Path& path);
  bool directory(const tar::Entry& entry, const Path& path);
  bool symlink(const tar::Entry& entry, const Path& path);
  bool hard_link(const tar::Entry& entry, const Path& path);
  bool special(const tar::Entry& entry, const Path& path);

 private:
  bool unsuitable(const char* why);
  Node node_of(const tar::Entry& entry, mode_t type);
  bool no_memory();
  bool charge(uint64_t bytes);

  bool parts(const tar::Entry& entry, Node& node);
  bool own_attributes(const tar::Entry& entry, Node& node);
  bool add(const char* name, const Node& node, const char* too_long);
  Id add_folder(Id parent, const char* name, size_t length);
  bool want(const Path& target);
  Id name_for(const char* name, size_t length);

  tar::Reader& reader_;
  const uint64_t base_;
  const IndexOptions& options_;
  Tree& tree_;
  IndexReport& report_;
  uint64_t charged_ = 0;
  size_t wanted_ = 0;

  // The folder of the last entry: most entries share it with the one before.
  Id parent_ = kRoot;
  char parent_path_[tar::kMaxPath] = {};
};

}  // namespace boxctl::image
