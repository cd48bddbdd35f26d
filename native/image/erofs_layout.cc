#include "erofs_layout.h"

#include <errno.h>
#include <sys/stat.h>

#include <algorithm>

#include "erofs_folder.h"
#include "erofs_format.h"

namespace boxctl::image {

size_t attributes_size(const Node& node) {
  const size_t entries = node.attribute_size + (node.opaque ? kMarkSize : 0) + (node.whiteouts ? kMarkSize : 0);
  return entries == 0 ? 0 : sizeof(erofs::XattrHeader) + entries;
}

// Whiteouts become files now that it is clear that the layer itself has nothing under their names.
bool Layout::sort_names() {
  for (Id id = 0; id < tree_.names.size(); id++) {
    Name& name = tree_.names[id];
    if (name.hides && name.node == kNone) {
      name.node = kWhiteout;
      tree_.nodes[name.folder].whiteouts = true;
    }
    if (name.hides && S_ISDIR(tree_.nodes[name.node].mode)) tree_.nodes[name.node].opaque = true;
    if (name.node != kNone && !names_.add(id)) return report_.fail({kNoMemory, ENOMEM});
  }
  std::sort(names_.begin(), names_.end(), [this](Id a, Id b) {
    const Name &left = tree_.names[a], &right = tree_.names[b];
    if (left.folder != right.folder) return left.folder < right.folder;
    return compare_names(tree_.name_text(left), left.length, tree_.name_text(right), right.length) < 0;
  });
  for (uint32_t i = 0; i < names_.size(); i++) {
    Node& folder = tree_.nodes[tree_.names[names_[i]].folder];
    if (folder.name_count++ == 0) folder.first_name = i;
  }
  return true;
}

// The root first, since its number must fit into 16 bits; then what each folder holds, side by side. What was replaced
// is never reached.
bool Layout::order_nodes() {
  // The time that more than half of the nodes share, if there is one (Boyer, Moore).
  uint64_t votes = 0;
  const auto reach = [&](Id id) {
    const Node& node = tree_.nodes[id];
    if (votes == 0) {
      epoch_ = node.mtime;
      fixed_nsec_ = node.mtime_ns;
    }
    votes = node.mtime == epoch_ && node.mtime_ns == fixed_nsec_ ? votes + 1 : votes - 1;
    return order_.add(id) || report_.fail({kNoMemory, ENOMEM});
  };
  if (!reach(kRoot)) return false;
  tree_.nodes[kRoot].links = 2;
  for (size_t i = 0; i < order_.size(); i++) {
    const Id id = order_[i];
    const Node folder = tree_.nodes[id];
    if (!S_ISDIR(folder.mode)) continue;
    if (folder.implied) report_.implied++;
    for (uint32_t k = 0; k < folder.name_count; k++) {
      const Id child = tree_.names[names_[folder.first_name + k]].node;
      Node& node = tree_.nodes[child];
      if (S_ISDIR(node.mode)) {
        node.links = 2;
        tree_.nodes[id].links++;
      } else if (node.links++ > 0) {
        continue;
      }
      if (!reach(child)) return false;
    }
  }
  return true;
}

bool Layout::place_nodes() {
  uint64_t at = kInodes;
  for (const Id id : order_) {
    Node& node = tree_.nodes[id];
    node.compact = node.mtime == epoch_ && node.mtime_ns == fixed_nsec_ && node.uid <= UINT16_MAX &&
                   node.gid <= UINT16_MAX && node.links <= UINT16_MAX && node.size <= UINT32_MAX;
    place(node, room_of(node, id), at);
    if (at > options_.index_bytes || blocks_ > (options_.index_bytes - at) / kBlockSize) {
      return report_.fail({"the index of the archive would be too large"}, Outcome::kUnsuitable);
    }
  }
  blocks_at_ = round_up(at, kBlockSize);
  return true;
}

// Gives a node the next place, `at`, and goes on behind it.
void Layout::place(Node& node, Room room, uint64_t& at) {
  uint64_t behind = room.indexes;
  node.tail_inline = false;
  if (room.tail > 0) {
    // A tail behind the head must not cross the border of a block.
    const auto fits = [&](uint64_t place) { return (place + room.head) % kBlockSize + room.tail <= kBlockSize; };
    if (!fits(at) && fits(round_up(at, kBlockSize))) at = round_up(at, kBlockSize);
    node.tail_inline = fits(at);
    if (node.tail_inline) {
      behind = room.tail;
    } else {
      room.blocks++;
    }
  }
  node.nid = static_cast<uint32_t>(at / erofs::kSlot);
  // Counted from the first block after all inodes, whose place is not known yet.
  node.block = static_cast<uint32_t>(blocks_);
  blocks_ += room.blocks;
  at = round_up(at + room.head + behind, erofs::kSlot);
}

Layout::Room Layout::room_of(Node& node, Id id) const {
  Room room;
  room.head = (node.compact ? sizeof(erofs::CompactInode) : sizeof(erofs::ExtendedInode)) + attributes_size(node);
  if (S_ISDIR(node.mode)) {
    add_folder(node, id, room);
  } else if (S_ISREG(node.mode) && node.size > 0) {
    add_file(node, room);
  } else if (S_ISLNK(node.mode)) {
    // The kernel reads a link without the page cache only if all of its target lies behind the head.
    const bool fits = room.head <= kBlockSize && node.size <= kBlockSize - room.head;
    (fits ? room.tail : room.blocks) = fits ? node.size : (node.size + kBlockSize - 1) / kBlockSize;
  }
  return room;
}

void Layout::add_folder(Node& node, Id id, Room& room) const {
  FolderBlocks blocks(tree_, names_.begin(), id);
  uint64_t count = 0;
  for (; blocks.next(); count++) {
    room.tail = blocks.used();
    node.size = count * kBlockSize + room.tail;
  }
  room.blocks = count - 1;
}

// Indexes of chunks, and blocks for the chunks that are copied.
void Layout::add_file(const Node& node, Room& room) const {
  // Indexes begin at a multiple of their own size, counted from the start of the index.
  const uint64_t padding = round_up(room.head, kChunkIndexSize) - room.head;
  room.indexes = padding + ((node.size - 1) / (kBlockSize << node.chunk_bits) + 1) * kChunkIndexSize;
  if (!node.sparse) return;
  Chunks chunks(tree_.parts.begin() + node.part, node.part_count, node.size, node.chunk_bits);
  while (chunks.next()) {
    if (chunks.kind() == ChunkKind::kCopied) room.blocks += (chunks.length() + kBlockSize - 1) / kBlockSize;
  }
}

}  // namespace boxctl::image
