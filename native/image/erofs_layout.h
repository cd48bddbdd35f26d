// Where everything in an index goes. Nothing is written yet: the places lie in the tree's nodes, and here.
#pragma once

#include "../shared/list.h"
#include "attributes.h"
#include "scan.h"
#include "sparse.h"

namespace boxctl::image {

// The superblock and the device table share the third block; inodes come after it.
inline constexpr uint64_t kInodes = 3 * kBlockSize;
// A mark of overlay's in the attributes of a folder (erofs_writer.cc).
inline constexpr size_t kMarkSize = 20;
static_assert(2 * kMarkSize <= kMarksSize);

inline uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

// Of a node's attributes on disk; 0 where it has none.
size_t attributes_size(const Node& node);

class Layout {
 public:
  Layout(Tree& tree, const IndexOptions& options, IndexReport& report)
      : tree_(tree), options_(options), report_(report) {}

  // False: see the report.
  bool run() { return sort_names() && order_nodes() && place_nodes(); }

  // Names that exist, in the order of their folders, sorted in each.
  const Id* names() const { return names_.begin(); }
  // Nodes in the order of their places.
  const List<Id>& order() const { return order_; }
  // The time of all compact inodes.
  int64_t epoch() const { return epoch_; }
  uint32_t fixed_nsec() const { return fixed_nsec_; }
  // Where the inodes end and the blocks begin, and how many blocks there are.
  uint64_t blocks_at() const { return blocks_at_; }
  uint64_t blocks() const { return blocks_; }

 private:
  // What a node takes: its head, which is the inode and its attributes; behind it the indexes of its chunks; the end of
  // its data, which may lie behind the head as well; and whole blocks elsewhere.
  struct Room {
    size_t head = 0;
    uint64_t indexes = 0;
    uint64_t tail = 0;
    uint64_t blocks = 0;
  };

  bool sort_names();
  bool order_nodes();
  bool place_nodes();
  void place(Node& node, Room room, uint64_t& at);
  Room room_of(Node& node, Id id) const;
  void add_folder(Node& node, Id id, Room& room) const;
  void add_file(const Node& node, Room& room) const;

  Tree& tree_;
  const IndexOptions& options_;
  IndexReport& report_;
  List<Id> names_;
  List<Id> order_;
  int64_t epoch_ = 0;
  uint32_t fixed_nsec_ = 0;
  uint64_t blocks_at_ = 0;
  uint64_t blocks_ = 0;
};

}  // namespace boxctl::image
