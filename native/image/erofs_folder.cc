#include "erofs_folder.h"

#include <string.h>
#include <sys/stat.h>

namespace boxctl::image {
namespace {

uint8_t file_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 1;
    case S_IFDIR:
      return 2;
    case S_IFCHR:
      return 3;
    case S_IFBLK:
      return 4;
    case S_IFIFO:
      return 5;
    case S_IFLNK:
      return 7;
    default:
      return 0;
  }
}

}  // namespace

int compare_names(const char* a, size_t a_size, const char* b, size_t b_size) {
  const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
  if (order != 0) return order;
  return a_size < b_size ? -1 : a_size > b_size;
}

bool FolderBlocks::next() {
  count_ = used_ = 0;
  Item item;
  while (peek(item) && count_ < kMost && used_ + sizeof(erofs::Dirent) + item.length <= kBlockSize) {
    items_[count_++] = item;
    used_ += sizeof(erofs::Dirent) + item.length;
    if (item.is_dots) {
      dots_++;
    } else {
      at_++;
    }
  }
  return count_ > 0;
}

// The next entry; false at the end.
bool FolderBlocks::peek(Item& item) const {
  const bool is_named = at_ != end_;
  if (is_named) {
    const Name& name = tree_.names[*at_];
    item = {tree_.name_text(name), name.length, name.node, false};
  }
  if (dots_ >= 2) return is_named;
  const Item dots = dots_ == 0 ? Item{".", 1, id_, true} : Item{"..", 2, tree_.nodes[id_].parent, true};
  if (!is_named || compare_names(dots.name, dots.length, item.name, item.length) < 0) item = dots;
  return true;
}

void FolderBlocks::write(uint8_t (&block)[kBlockSize]) const {
  memset(block, 0, sizeof block);
  size_t name = count_ * sizeof(erofs::Dirent);
  for (size_t i = 0; i < count_; i++) {
    const Node& node = tree_.nodes[items_[i].node];
    const erofs::Dirent dirent = {node.nid, static_cast<uint16_t>(name), file_type(node.mode), 0};
    memcpy(block + i * sizeof dirent, &dirent, sizeof dirent);
    memcpy(block + name, items_[i].name, items_[i].length);
    name += items_[i].length;
  }
}

}  // namespace boxctl::image
