// Writes a tree of the store as a tar again: the same tree gives the same bytes. Entries are sorted by the bytes of
// their names, a folder before what is in it. Overlay's marks become those of a layer (OCI image specification,
// "Representing Changes").
#pragma once

#include <stdint.h>

#include "../shared/failure.h"
#include "../shared/list.h"
#include "tar.h"
#include "tar_writer.h"

namespace boxctl::image {

struct PackOptions {
  // The tree has overlay's marks; it hides all below its root.
  bool layer = false, opaque = false;
  // It is part of what is in use: files come and go meanwhile, and the kernel's own file systems are left out.
  bool live = false;
  // Comes before each path.
  const char* prefix = "";
};

class Pack {
 public:
  Pack(int root, int to, const PackOptions& options)
      : root_(root), writer_(to, options.prefix, options.live), options_(options) {}
  Pack(const Pack&) = delete;
  Pack& operator=(const Pack&) = delete;

  // A folder without an entry of its own: the layers below say what it is. Before run().
  bool leave_out(const char* folder);
  // False: see failure() and entry().
  bool run();
  // What has this name in the root, as the prefix alone: a file, or with `.` the root itself and all that is in it.
  bool run(const char* name);

  uint64_t entries() const { return entries_; }
  const char* entry() const { return path_; }
  const Failure& failure() const { return failure_ ? failure_ : writer_.failure(); }
  // What a tar has no word for, and what the kernel makes up.
  uint64_t skipped() const { return skipped_; }
  uint64_t changed() const { return changed_ + writer_.changed(); }

 private:
  // A file of several names, by what it is and where its first name lies.
  struct Linked {
    dev_t device;
    ino_t inode;
    size_t path;  // in text_, plus 1; 0: a free place
  };

  bool fail(const char* why, int number);
  bool folder(size_t length);
  bool entry(size_t length);
  bool children(size_t length);
  bool mark(size_t folder, const char* prefix, const char* name);
  bool is_opaque(const char* path);
  bool is_gone(int error);
  bool is_made_up(int folder, const struct stat& status);
  bool is_left_out(const char* path) const;
  bool first_name(const struct stat& status, const char*& first);
  bool grow();
  size_t place_of(dev_t device, ino_t inode) const;

  const int root_;
  TarWriter writer_;
  const PackOptions options_;
  dev_t device_ = 0;  // of the folder that is being read
  uint64_t entries_ = 0, skipped_ = 0, changed_ = 0;
  Failure failure_;
  char path_[tar::kMaxPath] = {};
  List<Linked> links_;  // open addressing; a power of two
  size_t link_count_ = 0;
  List<char> text_;
  List<size_t> left_out_;  // in text_, sorted by run()
};

}  // namespace boxctl::image
