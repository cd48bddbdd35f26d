// A folder as EROFS keeps it: blocks of entries, sorted by name.
#pragma once

#include "erofs_format.h"
#include "sparse.h"
#include "tree.h"

namespace boxctl::image {

// The order of names in a folder: by bytes.
int compare_names(const char* a, size_t a_size, const char* b, size_t b_size);

// Goes through the entries block by block. "." and ".." have no names of their own in the tree, and are put in at their
// places.
class FolderBlocks {
 public:
  // `names`: of all folders, sorted in each (Layout).
  FolderBlocks(const Tree& tree, const Id* names, Id id) : tree_(tree), id_(id) {
    const Node& node = tree.nodes[id];
    at_ = names + node.first_name;
    end_ = at_ + node.name_count;
  }

  // Goes on to the next block; false after the last.
  bool next();
  // How much of the block is used.
  size_t used() const { return used_; }
  // The block as it goes to disk; what is not used is zero.
  void write(uint8_t (&block)[kBlockSize]) const;

 private:
  struct Item {
    const char* name;
    size_t length;
    Id node;
    bool is_dots;
  };
  // A dirent takes 12 bytes and its name at least one.
  static constexpr size_t kMost = kBlockSize / (sizeof(erofs::Dirent) + 1);

  bool peek(Item& item) const;

  const Tree& tree_;
  const Id id_;
  const Id* at_;
  const Id* end_;
  size_t dots_ = 0;  // how many of "." and ".." were put in
  Item items_[kMost];
  size_t count_ = 0;
  size_t used_ = 0;
};

}  // namespace boxctl::image
