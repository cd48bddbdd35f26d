// The tree of an archive in memory: what exists at which name once all entries so far have been applied. Its size goes
// with the number of entries and the length of their names, never with their data.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "../shared/list.h"

namespace boxctl::image {

using Id = uint32_t;
inline constexpr Id kNone = UINT32_MAX;
inline constexpr Id kRoot = 0;
// The character device 0:0, which overlay takes for the mark of a deleted file. All of a layer are one inode.
inline constexpr Id kWhiteout = 1;
inline constexpr size_t kMaxName = 255;

// A piece of a file that is not a hole, and where in the device it is stored.
struct Part {
  uint64_t offset;
  uint64_t size;
  uint64_t stored;
};

// An inode. Fields that only one kind of file has do not share memory: a tree is small beside the data that it
// describes.
struct Node {
  mode_t mode = 0;  // with its type
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mtime_ns = 0;
  int64_t mtime = 0;
  uint64_t size = 0;    // of a file with its holes, of a symbolic link's target
  uint64_t stored = 0;  // a file that is one part: where in the device
  uint32_t text = 0;    // a symbolic link: its target in Tree::text
  uint32_t device = 0;  // a device node: its number as the kernel writes it to disk
  uint32_t part = 0;    // a sparse file: its parts in Tree::parts
  uint32_t part_count = 0;
  uint32_t chunk_bits = 0;  // a file: its chunks are of 2^chunk_bits blocks
  uint32_t attribute = 0;   // extended attributes as they go to disk, in Tree::attributes
  uint32_t attribute_size = 0;
  bool sparse = false;
  bool implied = false;    // a folder that no entry names
  bool whiteouts = false;  // a folder with marks of deleted files
  bool opaque = false;     // a folder that hides what layers below have in its place
  Id parent = kNone;       // a folder: the folder it lies in
  Id name = kNone;         // a folder: its name

  // Filled in when the index is laid out.
  uint32_t links = 0;
  uint32_t nid = 0;
  uint32_t block = 0;  // first of its blocks, counted from the first block after the inodes
  uint32_t first_name = 0;
  uint32_t name_count = 0;
  bool compact = false;
  bool tail_inline = false;
};

// A name in a folder. It stays when what it named has gone, so that the table of names needs no removal.
struct Name {
  Id folder;
  Id node;  // kNone: there is no such file
  uint32_t text;
  uint32_t hash;
  uint8_t length;
  bool hides;  // a whiteout: what layers below have under this name is gone
};

class Tree {
 public:
  Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // Makes the root and the whiteout. False: no memory left.
  bool start();

  // The name in the folder, whether or not it names something now. kNone when it never came.
  Id find(Id folder, const char* name, size_t length) const;
  // The same, made when it is missing; kNone: no memory left.
  Id find_or_add(Id folder, const char* name, size_t length);
  // The node of the name, or kNone.
  Id lookup(Id folder, const char* name, size_t length) const {
    const Id found = find(folder, name, length);
    return found == kNone ? kNone : names[found].node;
  }
  // True when `node` is `folder` or a folder that it lies in.
  bool contains(Id node, Id folder) const;

  const char* name_text(const Name& name) const { return text.begin() + name.text; }

  List<Node> nodes;
  List<Name> names;
  List<char> text;
  List<Part> parts;
  List<uint8_t> attributes;
  List<char> wanted;  // where hard links lead that have no target here, each with a NUL

 private:
  uint32_t hash_of(Id folder, const char* name, size_t length) const;
  bool grow();

  uint64_t key_[2];
  List<Id> table_;  // open addressing; the entry is a name's number + 1
};

}  // namespace boxctl::image
