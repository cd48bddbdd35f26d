#include "erofs.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "attributes.h"
#include "erofs_format.h"
#include "sparse.h"

namespace boxctl::image {

namespace {

using erofs::kSlot;

// The superblock and the device table share the third block; inodes come after it.
constexpr uint64_t kInodes = 3 * kBlockSize;
// A page, so that a loop device, too, ends where the kernel's reads do.
constexpr uint64_t kEnd = 4096;
// More could not be counted in the fields that are used.
constexpr uint64_t kMaxIndex = uint64_t{2} << 30;

// The attributes of overlay's own, behind `user.`. That a folder has an origin makes overlay look for whiteouts in it
// also where no other layer has it; else they would be listed, and not found.
constexpr char kOpaque[] = "overlay.opaque", kOrigin[] = "overlay.origin";
constexpr size_t kMarkSize = 20;
static_assert(sizeof(erofs::XattrEntry) + sizeof kOpaque - 1 + 1 <= kMarkSize && sizeof kOpaque == sizeof kOrigin);
static_assert(2 * kMarkSize <= kMarksSize);

uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

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

int compare(const char* a, size_t a_size, const char* b, size_t b_size) {
  const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
  if (order != 0) return order;
  return a_size < b_size ? -1 : a_size > b_size;
}

// The entries of a folder, block by block: "." and ".." have no names of their own in the tree and are put in at their
// places.
class Folder {
 public:
  // A dirent takes 12 bytes and its name at least one.
  static constexpr size_t kMost = kBlockSize / (sizeof(erofs::Dirent) + 1);
  struct Item {
    const char* name;
    size_t length;
    Id node;
  };

  Folder(const Tree& tree, const Id* names, Id id) : tree_(tree), id_(id) {
    const Node& node = tree.nodes[id];
    at_ = names + node.first_name;
    end_ = at_ + node.name_count;
  }

  // The next block's entries; false after the last block.
  bool next() {
    count_ = used_ = 0;
    Item item;
    while (peek(item) && count_ < kMost && used_ + sizeof(erofs::Dirent) + item.length <= kBlockSize) {
      items_[count_++] = item;
      used_ += sizeof(erofs::Dirent) + item.length;
      advance();
    }
    return count_ > 0;
  }
  size_t used() const { return used_; }

  // The block as it goes to disk; what is not used is zero.
  void write(uint8_t (&block)[kBlockSize]) const {
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

 private:
  bool peek(Item& item) const {
    const Item dots[2] = {{".", 1, id_}, {"..", 2, tree_.nodes[id_].parent}};
    if (dots_ == 2 && at_ == end_) return false;
    if (at_ != end_) {
      const Name& name = tree_.names[*at_];
      item = {tree_.name_text(name), name.length, name.node};
      if (dots_ == 2 || compare(item.name, item.length, dots[dots_].name, dots[dots_].length) < 0) return true;
    }
    item = dots[dots_];
    return true;
  }
  void advance() {
    const bool dot = items_[count_ - 1].name[0] == '.' && items_[count_ - 1].length <= 2 &&
                     memcmp(items_[count_ - 1].name, "..", items_[count_ - 1].length) == 0;
    if (dot) {
      dots_++;
    } else {
      at_++;
    }
  }

  const Tree& tree_;
  const Id id_;
  const Id* at_;
  const Id* end_;
  size_t dots_ = 0;
  Item items_[kMost];
  size_t count_ = 0;
  size_t used_ = 0;
};

// Writes from one place on, in large pieces, and makes a fingerprint of all of it.
class Output {
 public:
  explicit Output(Sink sink, uint64_t start) : sink_(sink), at_(start), flushed_(start) {}

  uint64_t at() const { return at_; }
  bool put(const void* bytes, size_t size) {
    const auto* from = static_cast<const uint8_t*>(bytes);
    while (size > 0) {
      const size_t part = size < sizeof buffer_ - used_ ? size : sizeof buffer_ - used_;
      memcpy(buffer_ + used_, from, part);
      used_ += part;
      at_ += part;
      from += part;
      size -= part;
      if (used_ == sizeof buffer_ && !flush()) return false;
    }
    return true;
  }
  bool pad_to(uint64_t place) {
    static constexpr uint8_t kZeroes[kBlockSize] = {};
    while (at_ < place) {
      if (!put(kZeroes, place - at_ < sizeof kZeroes ? place - at_ : sizeof kZeroes)) return false;
    }
    return at_ == place;
  }
  bool flush() {
    size_t i = 0;
    for (; i + 8 <= used_; i += 8) {
      uint64_t word;
      memcpy(&word, buffer_ + i, sizeof word);
      mix(word);
    }
    for (; i < used_; i++) mix(buffer_[i]);
    const bool written = used_ == 0 || sink_.write(sink_.context, flushed_, buffer_, used_);
    flushed_ += used_;
    used_ = 0;
    return written;
  }
  // Different contents, different numbers: overlay tells lower layers apart by them. Nobody's safety hangs on it.
  void fingerprint(uint8_t (&uuid)[16]) const {
    memcpy(uuid, mixed_, sizeof uuid);
    // Version 8 and the variant of RFC 9562: a number that was made in a way of its own.
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x80);
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
  }

 private:
  void mix(uint64_t word) {
    mixed_[0] = (mixed_[0] ^ word) * 0x9e3779b97f4a7c15;
    mixed_[0] ^= mixed_[0] >> 29;
    mixed_[1] = (mixed_[1] + word) * 0xc2b2ae3d27d4eb4f;
    mixed_[1] ^= mixed_[1] >> 31;
  }

  const Sink sink_;
  uint64_t at_;
  uint64_t flushed_;
  size_t used_ = 0;
  uint64_t mixed_[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};
  uint8_t buffer_[64 * 1024];
};

}  // namespace

// Gives every inode its place, then writes them in that order, then the blocks that did not fit behind them.
class IndexWriter {
 public:
  IndexWriter(Index& index, Sink sink, Data data)
      : tree_(index.tree_),
        options_(index.options_),
        report_(index.report_),
        out_(sink, kInodes),
        sink_(sink),
        data_(data) {}

  bool run(uint64_t device_size) {
    return sort_names() && order_nodes() && place_nodes() && write_nodes() && write_blocks() &&
           write_super(device_size);
  }

 private:
  bool fail(const char* why, int number, Outcome outcome = Outcome::kRefused) {
    report_.outcome = outcome;
    report_.failure = {why, number};
    return false;
  }
  bool put(const void* bytes, size_t size) {
    return out_.put(bytes, size) || fail("the index cannot be written", errno);
  }
  bool pad_to(uint64_t place) { return out_.pad_to(place) || fail("the index cannot be written", errno); }

  bool sort_names();
  bool order_nodes();
  bool place_nodes();
  bool place(Node& node, Id id);
  bool write_nodes();
  bool write_node(const Node& node, Id id);
  bool write_attributes(const Node& node);
  bool write_mark(const char* name, const char* value);
  bool write_chunks(const Node& node);
  bool write_blocks();
  bool write_copies(const Node& node);
  bool write_copy(const Chunks& chunk);
  bool write_super(uint64_t device_size);

  size_t attributes_size(const Node& node) const {
    const size_t entries = node.attribute_size + (node.opaque ? kMarkSize : 0) + (node.whiteouts ? kMarkSize : 0);
    return entries == 0 ? 0 : sizeof(erofs::XattrHeader) + entries;
  }
  static size_t inode_size(const Node& node) {
    return node.compact ? sizeof(erofs::CompactInode) : sizeof(erofs::ExtendedInode);
  }

  Tree& tree_;
  const IndexOptions& options_;
  IndexReport& report_;
  Output out_;
  const Sink sink_;
  const Data data_;

  List<Id> names_;  // that exist, in the order of their folders, sorted in each
  List<Id> order_;  // nodes in the order of their places
  int64_t epoch_ = 0;
  uint32_t fixed_nsec_ = 0;
  uint64_t blocks_at_ = 0;  // where the inodes end and the blocks begin
  uint64_t blocks_ = 0;
};

// Whiteouts become files now that it is clear that the layer itself has nothing under their names.
bool IndexWriter::sort_names() {
  for (Id id = 0; id < tree_.names.size(); id++) {
    Name& name = tree_.names[id];
    if (name.hides && name.node == kNone) {
      name.node = kWhiteout;
      tree_.nodes[name.folder].whiteouts = true;
    }
    if (name.hides && S_ISDIR(tree_.nodes[name.node].mode)) tree_.nodes[name.node].opaque = true;
    if (name.node != kNone && !names_.add(id)) return fail(kNoMemory, ENOMEM);
  }
  std::sort(names_.begin(), names_.end(), [this](Id a, Id b) {
    const Name &left = tree_.names[a], &right = tree_.names[b];
    if (left.folder != right.folder) return left.folder < right.folder;
    return compare(tree_.name_text(left), left.length, tree_.name_text(right), right.length) < 0;
  });
  for (uint32_t i = 0; i < names_.size(); i++) {
    Node& folder = tree_.nodes[tree_.names[names_[i]].folder];
    if (folder.name_count++ == 0) folder.first_name = i;
  }
  return true;
}

// The root first, since its number must fit into 16 bits; then what each folder holds, side by side. What was replaced
// is never reached.
bool IndexWriter::order_nodes() {
  // The time that more than half of the nodes share, if there is one (Boyer, Moore).
  uint64_t votes = 0;
  const auto reach = [&](Id id) {
    const Node& node = tree_.nodes[id];
    if (votes == 0) {
      epoch_ = node.mtime;
      fixed_nsec_ = node.mtime_ns;
    }
    votes = node.mtime == epoch_ && node.mtime_ns == fixed_nsec_ ? votes + 1 : votes - 1;
    return order_.add(id) || fail(kNoMemory, ENOMEM);
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

bool IndexWriter::place_nodes() {
  // In units of slots until all inodes have one; blocks are counted from the first after them.
  uint64_t place = kInodes;
  for (const Id id : order_) {
    Node& node = tree_.nodes[id];
    node.compact = node.mtime == epoch_ && node.mtime_ns == fixed_nsec_ && node.uid <= UINT16_MAX &&
                   node.gid <= UINT16_MAX && node.links <= UINT16_MAX && node.size <= UINT32_MAX;
    const size_t head = inode_size(node) + attributes_size(node);
    uint64_t whole = 0, tail = 0, after = 0;
    switch (node.mode & S_IFMT) {
      case S_IFDIR: {
        Folder folder(tree_, names_.begin(), id);
        uint64_t count = 0;
        while (folder.next()) {
          count++;
          tail = folder.used();
          node.size = (count - 1) * kBlockSize + tail;
        }
        whole = count - 1;
        break;
      }
      case S_IFLNK:
        // Only one that lies behind its inode as a whole is read without the page cache.
        if (node.size <= kBlockSize - head || head > kBlockSize) {
          tail = node.size;
        } else {
          whole = (node.size + kBlockSize - 1) / kBlockSize;
        }
        break;
      case S_IFREG:
        if (node.size > 0) {
          // Indexes begin at a multiple of their own size, counted from the start of the file.
          after = round_up(head, kChunkIndexSize) - head +
                  ((node.size - 1) / (kBlockSize << node.chunk_bits) + 1) * kChunkIndexSize;
          if (node.sparse) {
            Chunks chunks(tree_.parts.begin() + node.part, node.part_count, node.size, node.chunk_bits);
            while (chunks.next()) {
              if (chunks.kind() == ChunkKind::kCopied) whole += (chunks.length() + kBlockSize - 1) / kBlockSize;
            }
          }
        }
        break;
      default:
        break;
    }
    node.tail_inline = false;
    if (tail > 0) {
      // The inline end must not cross the border of a block.
      const auto crosses = [&](uint64_t at) { return (at + head) % kBlockSize + tail > kBlockSize; };
      if (!crosses(place)) {
        node.tail_inline = true;
      } else if (!crosses(round_up(place, kBlockSize))) {
        place = round_up(place, kBlockSize);
        node.tail_inline = true;
      } else {
        whole++;
      }
      if (node.tail_inline) after = tail;
    }
    node.nid = static_cast<uint32_t>(place / kSlot);
    node.block = static_cast<uint32_t>(blocks_);
    place = round_up(place + head + after, kSlot);
    blocks_ += whole;
    if (place > options_.index_bytes || blocks_ > (options_.index_bytes - place) / kBlockSize) {
      return fail("the index of the archive would be too large", 0, Outcome::kUnsuitable);
    }
  }
  blocks_at_ = round_up(place, kBlockSize);
  return true;
}

bool IndexWriter::write_nodes() {
  for (const Id id : order_) {
    const Node& node = tree_.nodes[id];
    if (!pad_to(node.nid * kSlot) || !write_node(node, id)) return false;
  }
  return pad_to(blocks_at_);
}

bool IndexWriter::write_node(const Node& node, Id id) {
  const auto first_block = static_cast<uint32_t>(blocks_at_ / kBlockSize + node.block);
  uint16_t layout = node.tail_inline ? erofs::kFlatInline : erofs::kFlatPlain;
  uint32_t u = 0;
  if (S_ISDIR(node.mode) || S_ISLNK(node.mode)) u = first_block;
  if (S_ISCHR(node.mode) || S_ISBLK(node.mode)) u = node.device;
  const bool chunked = S_ISREG(node.mode) && node.size > 0;
  if (chunked) {
    layout = erofs::kChunkBased;
    u = erofs::kChunkIndexes | node.chunk_bits;
  }
  const size_t attributes = attributes_size(node);
  const auto icount = static_cast<uint16_t>(
      attributes == 0 ? 0 : (attributes - sizeof(erofs::XattrHeader)) / sizeof(erofs::XattrEntry) + 1);
  if (node.compact) {
    erofs::CompactInode inode = {};
    inode.i_format = layout | erofs::kCompact;
    inode.i_xattr_icount = icount;
    inode.i_mode = static_cast<uint16_t>(node.mode);
    inode.i_nlink = static_cast<uint16_t>(node.links);
    inode.i_size = static_cast<uint32_t>(node.size);
    inode.i_u = u;
    inode.i_ino = node.nid;
    inode.i_uid = static_cast<uint16_t>(node.uid);
    inode.i_gid = static_cast<uint16_t>(node.gid);
    if (!put(&inode, sizeof inode)) return false;
  } else {
    erofs::ExtendedInode inode = {};
    inode.i_format = layout | erofs::kExtended;
    inode.i_xattr_icount = icount;
    inode.i_mode = static_cast<uint16_t>(node.mode);
    inode.i_size = node.size;
    inode.i_u = u;
    inode.i_ino = node.nid;
    inode.i_uid = node.uid;
    inode.i_gid = node.gid;
    inode.i_mtime = static_cast<uint64_t>(node.mtime);
    inode.i_mtime_nsec = node.mtime_ns;
    inode.i_nlink = node.links;
    if (!put(&inode, sizeof inode)) return false;
  }
  if (attributes > 0 && !write_attributes(node)) return false;
  if (chunked) return write_chunks(node);
  if (!node.tail_inline) return true;
  if (S_ISLNK(node.mode)) return put(tree_.text.begin() + node.text, node.size);
  Folder folder(tree_, names_.begin(), id);
  size_t used = 0;
  uint8_t block[kBlockSize];
  while (folder.next()) {
    used = folder.used();
    if (used > 0) folder.write(block);
  }
  return put(block, used);
}

bool IndexWriter::write_attributes(const Node& node) {
  const erofs::XattrHeader header = {};
  if (!put(&header, sizeof header)) return false;
  if (!put(tree_.attributes.begin() + node.attribute, node.attribute_size)) return false;
  return (!node.opaque || write_mark(kOpaque, "y")) && (!node.whiteouts || write_mark(kOrigin, ""));
}

bool IndexWriter::write_mark(const char* name, const char* value) {
  uint8_t mark[kMarkSize] = {};
  const erofs::XattrEntry entry = {static_cast<uint8_t>(strlen(name)), erofs::kXattrUser,
                                   static_cast<uint16_t>(strlen(value))};
  memcpy(mark, &entry, sizeof entry);
  memcpy(mark + sizeof entry, name, entry.e_name_len);
  memcpy(mark + sizeof entry + entry.e_name_len, value, entry.e_value_size);
  return put(mark, sizeof mark);
}

bool IndexWriter::write_chunks(const Node& node) {
  if (!pad_to(round_up(out_.at(), kChunkIndexSize))) return false;
  const Part all = {0, node.size, node.stored};
  const Part* const parts = node.sparse ? tree_.parts.begin() + node.part : &all;
  Chunks chunks(parts, node.sparse ? node.part_count : 1, node.size, node.chunk_bits);
  uint64_t copies = blocks_at_ / kBlockSize + node.block;
  while (chunks.next()) {
    erofs::ChunkIndex index = {0, 0, erofs::kNullBlock};
    if (chunks.kind() == ChunkKind::kStored) {
      index.device_id = 1;
      index.startblk = static_cast<uint32_t>(chunks.stored() / kBlockSize);
    } else if (chunks.kind() == ChunkKind::kCopied) {
      index.startblk = static_cast<uint32_t>(copies);
      copies += (chunks.length() + kBlockSize - 1) / kBlockSize;
    }
    if (!put(&index, sizeof index)) return false;
  }
  return true;
}

bool IndexWriter::write_blocks() {
  for (const Id id : order_) {
    const Node& node = tree_.nodes[id];
    if (S_ISDIR(node.mode)) {
      Folder folder(tree_, names_.begin(), id);
      const uint64_t whole = node.tail_inline ? node.size / kBlockSize * kBlockSize : node.size;
      uint8_t block[kBlockSize];
      for (uint64_t done = 0; done < whole && folder.next(); done += kBlockSize) {
        folder.write(block);
        if (!put(block, sizeof block)) return false;
      }
    } else if (S_ISLNK(node.mode) && !node.tail_inline) {
      if (!put(tree_.text.begin() + node.text, node.size) || !pad_to(round_up(out_.at(), kBlockSize))) return false;
    } else if (S_ISREG(node.mode) && node.sparse && !write_copies(node)) {
      return false;
    }
  }
  return pad_to(round_up(blocks_at_ + blocks_ * kBlockSize, kEnd)) &&
         (out_.flush() || fail("the index cannot be written", errno));
}

bool IndexWriter::write_copies(const Node& node) {
  Chunks chunks(tree_.parts.begin() + node.part, node.part_count, node.size, node.chunk_bits);
  while (chunks.next()) {
    if (chunks.kind() == ChunkKind::kCopied && !write_copy(chunks)) return false;
  }
  return true;
}

// The data of a chunk, with zeroes where it has holes.
bool IndexWriter::write_copy(const Chunks& chunk) {
  const uint64_t start = out_.at(), end = chunk.begin() + chunk.length();
  for (const Part* part = chunk.parts(); part != chunk.parts_end() && part->offset < end; part++) {
    const uint64_t from = part->offset < chunk.begin() ? chunk.begin() : part->offset;
    const uint64_t to = part->offset + part->size < end ? part->offset + part->size : end;
    if (!pad_to(start + (from - chunk.begin()))) return false;
    for (uint64_t at = from; at < to;) {
      uint8_t buffer[16 * 1024];
      const size_t wanted = to - at < sizeof buffer ? to - at : sizeof buffer;
      const ssize_t got = data_.read(data_.context, buffer, wanted, part->stored + (at - part->offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return fail("the archive cannot be read", got < 0 ? errno : EIO);
      if (!put(buffer, static_cast<size_t>(got))) return false;
      at += static_cast<uint64_t>(got);
    }
  }
  return pad_to(start + round_up(chunk.length(), kBlockSize));
}

bool IndexWriter::write_super(uint64_t device_size) {
  uint8_t start[kInodes] = {};
  erofs::SuperBlock super = {};
  super.magic = erofs::kMagic;
  super.feature_compat = erofs::kCompatMtime;
  super.feature_incompat = erofs::kIncompatChunkedFile | erofs::kIncompatDeviceTable;
  super.blkszbits = kBlockBits;
  super.root_nid = static_cast<uint16_t>(tree_.nodes[kRoot].nid);
  super.inos = order_.size();
  super.epoch = static_cast<uint64_t>(epoch_);
  super.fixed_nsec = fixed_nsec_;
  super.blocks = static_cast<uint32_t>(out_.at() / kBlockSize);
  super.extra_devices = 1;
  super.devt_slotoff = (erofs::kSuperOffset + sizeof super) / sizeof(erofs::DeviceSlot);
  out_.fingerprint(super.uuid);
  erofs::DeviceSlot device = {};
  const uint64_t blocks = (device_size + kBlockSize - 1) / kBlockSize;
  device.blocks = static_cast<uint32_t>(blocks < UINT32_MAX ? blocks : UINT32_MAX);
  memcpy(start + erofs::kSuperOffset, &super, sizeof super);
  memcpy(start + erofs::kSuperOffset + sizeof super, &device, sizeof device);
  return sink_.write(sink_.context, 0, start, sizeof start) || fail("the index cannot be written", errno);
}

Index::Index(const IndexOptions& options) : options_(options) {
  if (options_.index_bytes > kMaxIndex) options_.index_bytes = kMaxIndex;
}

bool Index::scan(tar::Reader& reader, uint64_t base) { return Scan(reader, base, options_, tree_, report_).run(); }

bool Index::write(Sink sink, Data data, uint64_t device_size) {
  return IndexWriter(*this, sink, data).run(device_size);
}

void Index::wanted(bool (*found)(void* context, const char* path), void* context) const {
  for (const char* path = tree_.wanted.begin(); path != tree_.wanted.end(); path += strlen(path) + 1) {
    if (!found(context, path)) return;
  }
}

void Index::implied(bool (*found)(void* context, const char* path), void* context) const {
  for (Id id = 0; id < tree_.nodes.size(); id++) {
    const Node& node = tree_.nodes[id];
    if (!node.implied || !S_ISDIR(node.mode)) continue;
    // From the end, since only the way up is known. No path is longer than those of the archive.
    char path[tar::kMaxPath] = {};
    size_t at = sizeof path - 1;
    bool listed = true;
    for (Id up = id; up != kRoot && listed; up = tree_.nodes[up].parent) {
      const Name& name = tree_.names[tree_.nodes[up].name];
      listed = name.node == up && !name.hides && (up == id || !tree_.nodes[up].opaque);
      if (at < sizeof path - 1) path[--at] = '/';
      at -= name.length;
      memcpy(path + at, tree_.name_text(name), name.length);
    }
    if (listed && !found(context, path + at)) return;
  }
}

ssize_t HeaderSource::read(void* context, void* buffer, size_t size) {
  auto& self = *static_cast<HeaderSource*>(context);
  // As much as a header and its extensions take: what comes after them is skipped mostly.
  constexpr size_t kPiece = 2048;
  const uint64_t left = self.end_ - self.at_;
  if (size > kPiece) size = kPiece;
  if (size > left) size = left;
  const ssize_t got = pread(self.fd_, buffer, size, static_cast<off_t>(self.at_));
  if (got > 0) self.at_ += static_cast<uint64_t>(got);
  return got;
}

bool HeaderSource::skip(void* context, uint64_t size) {
  auto& self = *static_cast<HeaderSource*>(context);
  if (size > self.end_ - self.at_) return false;
  self.at_ += size;
  return true;
}

namespace {

bool write_fd(void* context, uint64_t offset, const void* bytes, size_t size) {
  const int fd = *static_cast<int*>(context);
  for (size_t done = 0; done < size;) {
    const ssize_t wrote =
        pwrite(fd, static_cast<const char*>(bytes) + done, size - done, static_cast<off_t>(offset + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    done += static_cast<size_t>(wrote);
  }
  return true;
}

ssize_t read_fd(void* context, void* buffer, size_t size, uint64_t offset) {
  return pread(*static_cast<int*>(context), buffer, size, static_cast<off_t>(offset));
}

}  // namespace

bool write_index(Index& index, int tar_fd, uint64_t size, int out_fd) {
  return index.write({write_fd, &out_fd}, {read_fd, &tar_fd}, size);
}

bool index_tar(Index& index, int tar_fd, uint64_t offset, uint64_t size, int out_fd) {
  HeaderSource source(tar_fd, offset, size);
  tar::Reader reader(source.source());
  return index.scan(reader, offset) && write_index(index, tar_fd, offset + size, out_fd);
}

}  // namespace boxctl::image
