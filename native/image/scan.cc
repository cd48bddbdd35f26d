#include "scan.h"

#include <errno.h>
#include <sys/stat.h>

#include "attributes.h"
#include "erofs_format.h"
#include "sparse.h"

namespace boxctl::image {

namespace {

// The last block that can be named is the one before the mark of a hole.
constexpr uint64_t kMaxDevice = uint64_t{erofs::kNullBlock} * kBlockSize;
// What a node and a name take in the index at least.
constexpr uint64_t kNodeCost = sizeof(erofs::ExtendedInode) + sizeof(erofs::ChunkIndex);
constexpr uint64_t kNameCost = sizeof(erofs::Dirent);
// Hard links to files of the layers below, as many as the unpacker takes.
constexpr size_t kMaxWanted = 8192;

// As the kernel's new_encode_dev(): 12 bits of the major number, 20 of the minor.
uint32_t encode_device(uint32_t major, uint32_t minor) {
  return (minor & 0xff) | major << 8 | (minor & ~uint32_t{0xff}) << 12;
}

}  // namespace

bool Scan::unsuitable(const char* why) { return report_.fail({why}, Outcome::kUnsuitable); }

Node Scan::node_of(const tar::Entry& entry, mode_t type) {
  Node node;
  node.mode = type | entry.mode;
  node.uid = entry.uid;
  node.gid = entry.gid;
  if (options_.owners.squash(node.uid, node.gid, node.mode)) report_.squashed++;
  node.mtime = entry.mtime;
  node.mtime_ns = entry.mtime_ns;
  return node;
}

bool Scan::no_memory() { return fail(kNoMemory, ENOMEM); }

// Counts what the index will need, also of what later entries replace: so the tree is bounded, too.
bool Scan::charge(uint64_t bytes) {
  if (bytes > options_.index_bytes - charged_) return unsuitable("the index of the archive would be too large");
  charged_ += bytes;
  return true;
}

// The name in the folder of the entry, made when it is missing.
Id Scan::name_for(const char* name, size_t length) {
  if (!charge(kNameCost + length)) return kNone;
  const Id id = tree_.find_or_add(parent_, name, length);
  if (id == kNone) no_memory();
  return id;
}

// Gives the name a new node: of two with the same name, the last one wins. Other names of the old node keep it.
bool Scan::add(const char* name, const Node& node, const char* too_long) {
  const size_t length = strlen(name);
  if (length > kMaxName) return fail(too_long, ENAMETOOLONG);
  if (!charge(kNodeCost + node.attribute_size)) return false;
  const Id id = name_for(name, length);
  if (id == kNone) return false;
  if (!tree_.nodes.add(node)) return no_memory();
  tree_.names[id].node = static_cast<Id>(tree_.nodes.size() - 1);
  return true;
}

Id Scan::add_folder(Id parent, const char* name, size_t length) {
  if (!charge(kNodeCost)) return kNone;
  parent_ = parent;
  const Id id = name_for(name, length);
  if (id == kNone) return kNone;
  Node node;
  node.mode = S_IFDIR | 0755;
  node.implied = true;
  node.parent = parent;
  node.name = id;
  if (!tree_.nodes.add(node)) {
    no_memory();
    return kNone;
  }
  return tree_.names[id].node = static_cast<Id>(tree_.nodes.size() - 1);
}

// Finds the folder of an entry, making what is missing of it.
bool Scan::enter(const char* folder) {
  if (strcmp(folder, parent_path_) == 0) return true;
  parent_path_[0] = 0;
  Id at = kRoot;
  for (const char* name = folder; *name != 0;) {
    const size_t length = strcspn(name, "/");
    if (length > kMaxName) return fail("the folder cannot be opened", ENAMETOOLONG);
    Id next = tree_.lookup(at, name, length);
    if (next == kNone) next = add_folder(at, name, length);
    if (next == kNone) return false;
    const mode_t mode = tree_.nodes[next].mode;
    if (S_ISLNK(mode)) return fail("the path leads through a symbolic link of the archive");
    if (!S_ISDIR(mode)) return fail("the path leads through something that is not a folder");
    at = next;
    name += length;
    if (*name == '/') name++;
  }
  parent_ = at;
  memcpy(parent_path_, folder, strlen(folder) + 1);
  return true;
}

bool Scan::whiteout(const Path& path, LayerName kind) {
  if (kind == LayerName::kBad) return fail("a whiteout names nothing that could be deleted");
  if (options_.walk.whiteouts == Whiteouts::kDropped) return true;
  if (kind == LayerName::kOpaque) {
    (parent_ == kRoot ? report_.opaque_root : tree_.nodes[parent_].opaque) = true;
    return true;
  }
  const char* const name = path.name + kWhiteoutPrefix;
  const size_t length = strlen(name);
  if (length > kMaxName) return fail("the whiteout cannot be made", ENAMETOOLONG);
  const Id id = name_for(name, length);
  if (id == kNone) return false;
  tree_.names[id].hides = true;
  return true;
}

bool Scan::own_attributes(const tar::Entry& entry, Node& node) {
  const size_t start = tree_.attributes.size();
  if (entry.xattr_count == 0 && node.attribute_size == 0) return true;
  const uint8_t* const before = tree_.attributes.begin() + node.attribute;
  switch (encode_attributes(entry, node.mode, before, node.attribute_size, tree_.attributes, report_.skipped)) {
    case Attributes::kNoMemory:
      return no_memory();
    case Attributes::kTooLarge:
      return fail("an extended attribute cannot be set", ENOSPC);
    case Attributes::kDone:
      break;
  }
  node.attribute = static_cast<uint32_t>(start);
  node.attribute_size = static_cast<uint32_t>(tree_.attributes.size() - start);
  return true;
}

// The parts of a sparse file; those that follow each other are one, and those that are empty none.
bool Scan::parts(const tar::Entry& entry, Node& node) {
  size_t count;
  const tar::Chunk* const chunks = reader_.chunks(count);
  uint64_t stored = base_ + reader_.data_offset();
  node.part = static_cast<uint32_t>(tree_.parts.size());
  for (size_t i = 0; i < count; i++) {
    if (chunks[i].size == 0) continue;
    Part* const last = tree_.parts.size() > node.part ? tree_.parts.end() - 1 : nullptr;
    if (last != nullptr && last->offset + last->size == chunks[i].offset) {
      last->size += chunks[i].size;
    } else {
      if (!charge(sizeof(Part))) return false;
      if (!tree_.parts.add({chunks[i].offset, chunks[i].size, stored})) return no_memory();
    }
    stored += chunks[i].size;
  }
  node.part_count = static_cast<uint32_t>(tree_.parts.size() - node.part);
  node.sparse = true;
  const ChunkPlan plan = plan_chunks(tree_.parts.begin() + node.part, node.part_count, entry.size);
  if (plan.chunks > options_.index_bytes / kChunkIndexSize || !charge(plan.chunks * kChunkIndexSize) ||
      !charge(plan.copied)) {
    return unsuitable("the index of the archive would be too large");
  }
  node.chunk_bits = plan.bits;
  return true;
}

bool Scan::file(const tar::Entry& entry, const Path& path) {
  const char* const name = path.name;
  const uint64_t stored = reader_.stored_size();
  if (stored > options_.bytes - report_.bytes) return fail("the archive has more data than an image may have");
  report_.bytes += stored;
  const uint64_t at = base_ + reader_.data_offset();
  if (at > kMaxDevice || stored > kMaxDevice - at) {
    return unsuitable("the archive is larger than an index can describe");
  }
  Node node = node_of(entry, S_IFREG);
  node.size = entry.size;
  node.stored = at;
  node.chunk_bits = bits_for(entry.size);
  if (reader_.sparse() && !parts(entry, node)) return false;
  return own_attributes(entry, node) && add(name, node, "the file cannot be made");
}

bool Scan::directory(const tar::Entry& entry, const Path& path) {
  const char* const name = path.name;
  const size_t length = strlen(name);
  if (length > kMaxName) return fail("the folder cannot be made", ENAMETOOLONG);
  const Id here = parent_;
  Id id = length == 0 ? kRoot : tree_.lookup(here, name, length);
  if (id == kNone || !S_ISDIR(tree_.nodes[id].mode)) id = add_folder(here, name, length);
  if (id == kNone) return false;
  Node node = tree_.nodes[id];
  const Node fresh = node_of(entry, S_IFDIR);
  node.mode = fresh.mode;
  node.uid = fresh.uid;
  node.gid = fresh.gid;
  node.mtime = fresh.mtime;
  node.mtime_ns = fresh.mtime_ns;
  node.implied = false;
  if (!own_attributes(entry, node) || !charge(node.attribute_size)) return false;
  tree_.nodes[id] = node;
  return true;
}

bool Scan::symlink(const tar::Entry& entry, const Path& path) {
  const char* const name = path.name;
  if (entry.link[0] == 0) return fail("a symbolic link leads nowhere");
  Node node = node_of(entry, S_IFLNK);
  node.mode = S_IFLNK | 0777;
  node.size = strlen(entry.link);
  node.text = static_cast<uint32_t>(tree_.text.size());
  report_.skipped += entry.xattr_count;
  if (!charge(node.size)) return false;
  if (!tree_.text.add(entry.link, node.size)) return no_memory();
  return add(name, node, "the symbolic link cannot be made");
}

bool Scan::hard_link(const tar::Entry& entry, const Path& path) {
  Path target;
  if (!normalise(entry.link, target)) return fail("a hard link leads outside of the archive");
  if (*target.name == 0) return fail("a hard link leads to a folder");
  if (strcmp(target.name, path.name) == 0 && strcmp(target.folder, path.folder) == 0) return true;
  Id folder = kRoot;
  for (const char* name = target.folder; *name != 0;) {
    const size_t length = strcspn(name, "/");
    folder = length > kMaxName ? kNone : tree_.lookup(folder, name, length);
    if (folder != kNone && S_ISLNK(tree_.nodes[folder].mode)) return fail("a hard link leads through a symbolic link");
    if (folder == kNone || !S_ISDIR(tree_.nodes[folder].mode)) break;
    name += length;
    if (*name == '/') name++;
  }
  const size_t target_length = strlen(target.name), length = strlen(path.name);
  Id node = kNone;
  if (folder != kNone && S_ISDIR(tree_.nodes[folder].mode)) {
    if (target_length > kMaxName) return fail("the hard link cannot be made", ENAMETOOLONG);
    node = tree_.lookup(folder, target.name, target_length);
  }
  // What is in the way goes first, and if it is a folder, the target may go with it.
  const Id replaced = length > kMaxName ? kNone : tree_.lookup(parent_, path.name, length);
  if (node != kNone && replaced != kNone && S_ISDIR(tree_.nodes[replaced].mode) && tree_.contains(replaced, folder)) {
    node = kNone;
  }
  if (node == kNone) {
    return want(target);
  }
  if (length > kMaxName) return fail("the hard link cannot be made", ENAMETOOLONG);
  if (S_ISDIR(tree_.nodes[node].mode)) return fail("the hard link cannot be made", EPERM);
  const Id id = name_for(path.name, length);
  if (id == kNone) return false;
  tree_.names[id].node = node;
  return true;
}

// The target of a hard link is not here. Of a layer, it may be a file of the layers below.
bool Scan::want(const Path& target) {
  if (options_.walk.whiteouts != Whiteouts::kMarks || !options_.links_below || wanted_++ == kMaxWanted) {
    return fail("a hard link leads to nothing that came before it in the archive");
  }
  const size_t folder = strlen(target.folder), name = strlen(target.name);
  if (!charge(folder + name + 2)) return false;
  const bool kept = tree_.wanted.add(target.folder, folder) && tree_.wanted.add("/", folder == 0 ? 0 : 1) &&
                    tree_.wanted.add(target.name, name + 1);
  return kept || no_memory();
}

bool Scan::special(const tar::Entry& entry, const Path& path) {
  const char* const name = path.name;
  mode_t type = S_IFIFO;
  if (entry.type == tar::Type::kCharacter) type = S_IFCHR;
  if (entry.type == tar::Type::kBlock) type = S_IFBLK;
  // Overlay takes the character device 0:0 for the mark of a deleted file.
  if (type == S_IFCHR && entry.major == 0 && entry.minor == 0) {
    report_.skipped++;
    return true;
  }
  Node node = node_of(entry, type);
  if (type != S_IFIFO) node.device = encode_device(entry.major, entry.minor);
  report_.skipped += entry.xattr_count;
  return add(name, node, "the special file cannot be made");
}

bool Scan::run() {
  if (base_ % kBlockSize != 0) return unsuitable("the archive does not begin at a block of its file");
  if (!tree_.start()) return no_memory();
  ImageSigns signs;
  const Walked walked = walk(reader_, options_.walk, signs, *this);
  report_.image = !options_.walk.layer() && (signs.complete() || (walked != Walked::kEnd && signs.likely()));
  if (walked == Walked::kEnd) return true;
  const char* const path = reader_.entry().path;
  memcpy(report_.entry, path, strlen(path) + 1);
  return false;
}

}  // namespace boxctl::image
