#include "erofs_writer.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "erofs_folder.h"
#include "erofs_format.h"

namespace boxctl::image {
namespace {

// A page, so that a loop device, too, ends where the kernel's reads do.
constexpr uint64_t kEnd = 4096;

// Overlay's own attributes, behind `user.`. In a folder that has an origin, overlay looks for whiteouts even if no
// other layer has the folder. Without it the whiteouts would be listed as files that cannot be opened.
constexpr char kOpaque[] = "overlay.opaque", kOrigin[] = "overlay.origin";
static_assert(sizeof(erofs::XattrEntry) + sizeof kOpaque - 1 + 1 <= kMarkSize && sizeof kOpaque == sizeof kOrigin);

}  // namespace

bool IndexWriter::put(const void* bytes, size_t size) {
  return out_.put(bytes, size) || report_.fail({"the index cannot be written", errno});
}

bool IndexWriter::pad_to(uint64_t place) {
  return out_.pad_to(place) || report_.fail({"the index cannot be written", errno});
}

bool IndexWriter::write_nodes() {
  for (const Id id : layout_.order()) {
    const Node& node = tree_.nodes[id];
    if (!pad_to(node.nid * erofs::kSlot) || !write_node(node, id)) return false;
  }
  return pad_to(layout_.blocks_at());
}

bool IndexWriter::write_node(const Node& node, Id id) {
  const auto first_block = static_cast<uint32_t>(layout_.blocks_at() / kBlockSize + node.block);
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
  FolderBlocks folder(tree_, layout_.names(), id);
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
  uint64_t copies = layout_.blocks_at() / kBlockSize + node.block;
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
  for (const Id id : layout_.order()) {
    const Node& node = tree_.nodes[id];
    if (S_ISDIR(node.mode)) {
      FolderBlocks folder(tree_, layout_.names(), id);
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
  return pad_to(round_up(layout_.blocks_at() + layout_.blocks() * kBlockSize, kEnd)) &&
         (out_.flush() || report_.fail({"the index cannot be written", errno}));
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
      if (got <= 0) return report_.fail({"the archive cannot be read", got < 0 ? errno : EIO});
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
  super.inos = layout_.order().size();
  super.epoch = static_cast<uint64_t>(layout_.epoch());
  super.fixed_nsec = layout_.fixed_nsec();
  super.blocks = static_cast<uint32_t>(out_.at() / kBlockSize);
  super.extra_devices = 1;
  super.devt_slotoff = (erofs::kSuperOffset + sizeof super) / sizeof(erofs::DeviceSlot);
  out_.fingerprint(super.uuid);
  erofs::DeviceSlot device = {};
  const uint64_t blocks = (device_size + kBlockSize - 1) / kBlockSize;
  device.blocks = static_cast<uint32_t>(blocks < UINT32_MAX ? blocks : UINT32_MAX);
  memcpy(start + erofs::kSuperOffset, &super, sizeof super);
  memcpy(start + erofs::kSuperOffset + sizeof super, &device, sizeof device);
  return sink_.write(sink_.context, 0, start, sizeof start) || report_.fail({"the index cannot be written", errno});
}

}  // namespace boxctl::image
