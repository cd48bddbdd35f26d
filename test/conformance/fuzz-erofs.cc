// Feeds arbitrary archives to the indexer and looks at what it makes of them as strictly as a kernel could. With
// libFuzzer: node native/build.mjs --fuzz fuzz-erofs. Without (-DSTANDALONE, any compiler): as mutate.h says; with
// BOXCTL_KEEP=FOLDER, some of the indexes and archives are kept there, to be mounted.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../native/image/erofs.h"
#include "../../native/image/erofs_format.h"
#include "../../native/image/sparse.h"

namespace {

using namespace boxctl;
using namespace boxctl::image;

constexpr size_t kLimit = 1 << 20;

#define REQUIRE(condition)     \
  do {                         \
    if (!(condition)) abort(); \
  } while (false)

struct Bytes {
  const uint8_t* data;
  size_t size;
  size_t at = 0;
};

ssize_t read_bytes(void* context, void* buffer, size_t size) {
  auto& bytes = *static_cast<Bytes*>(context);
  // Odd pieces, so that headers cross the borders of the reader's buffer.
  size_t part = size < 1537 ? size : 1537;
  if (part > bytes.size - bytes.at) part = bytes.size - bytes.at;
  memcpy(buffer, bytes.data + bytes.at, part);
  bytes.at += part;
  return static_cast<ssize_t>(part);
}

bool skip_bytes(void* context, uint64_t size) {
  auto& bytes = *static_cast<Bytes*>(context);
  if (size > bytes.size - bytes.at) return false;
  bytes.at += size;
  return true;
}

ssize_t read_at(void* context, void* buffer, size_t size, uint64_t offset) {
  const auto& bytes = *static_cast<Bytes*>(context);
  REQUIRE(offset < bytes.size);
  const size_t part = size < bytes.size - offset ? size : bytes.size - offset;
  memcpy(buffer, bytes.data + offset, part);
  return static_cast<ssize_t>(part);
}

struct Image {
  uint8_t bytes[kLimit + 8192] = {};
  size_t size = 0;
};

bool write_image(void* context, uint64_t offset, const void* bytes, size_t size) {
  auto& image = *static_cast<Image*>(context);
  REQUIRE(offset <= sizeof image.bytes && size <= sizeof image.bytes - offset);
  memcpy(image.bytes + offset, bytes, size);
  if (offset + size > image.size) image.size = offset + size;
  return true;
}

// An inode of the image, read with every check that its place and its fields allow.
struct Inode {
  uint16_t layout;
  uint16_t mode;
  uint32_t links;
  uint64_t size;
  uint32_t u;
  uint64_t end;  // of the inode and its attributes
};

class Check {
 public:
  Check(const Image& image, uint64_t device_size) : image_(image), device_size_(device_size) {}

  void run() {
    erofs::SuperBlock super;
    get(erofs::kSuperOffset, super);
    REQUIRE(super.magic == erofs::kMagic && super.blkszbits == kBlockBits && super.extra_devices == 1);
    REQUIRE(uint64_t{super.blocks} * kBlockSize == image_.size && image_.size % 4096 == 0);
    inodes_ = super.inos;
    folder(super.root_nid, super.root_nid, 0);
    REQUIRE(seen_ <= inodes_ * 2 + 1'000'000);
  }

 private:
  template <typename T>
  void get(uint64_t at, T& out) const {
    REQUIRE(at <= image_.size && sizeof out <= image_.size - at);
    memcpy(&out, image_.bytes + at, sizeof out);
  }

  Inode inode(uint64_t nid) const {
    const uint64_t at = nid * erofs::kSlot;
    erofs::CompactInode head;
    get(at, head);
    Inode out = {};
    uint64_t size = sizeof head;
    if (head.i_format & erofs::kExtended) {
      erofs::ExtendedInode inode;
      get(at, inode);
      REQUIRE(inode.i_mtime_nsec < 1'000'000'000 && inode.i_nlink > 0);
      out = {inode.i_format, inode.i_mode, inode.i_nlink, inode.i_size, inode.i_u, 0};
      size = sizeof inode;
    } else {
      REQUIRE(head.i_nlink > 0);
      out = {head.i_format, head.i_mode, head.i_nlink, head.i_size, head.i_u, 0};
    }
    out.layout &= static_cast<uint16_t>(~erofs::kExtended);
    out.end = at + size;
    if (head.i_xattr_icount > 0) attributes(out, head.i_xattr_icount);
    REQUIRE(out.end <= image_.size);
    return out;
  }

  void attributes(Inode& inode, size_t icount) const {
    REQUIRE(icount > 1);
    uint64_t at = inode.end + sizeof(erofs::XattrHeader);
    const uint64_t end = at + (icount - 1) * 4;
    while (at < end) {
      erofs::XattrEntry entry;
      get(at, entry);
      at += (sizeof entry + entry.e_name_len + entry.e_value_size + 3) / 4 * 4;
      const bool acl = entry.e_name_index == erofs::kXattrAclAccess || entry.e_name_index == erofs::kXattrAclDefault;
      REQUIRE(acl == (entry.e_name_len == 0));
    }
    REQUIRE(at == end);
    inode.end = end;
  }

  void file(const Inode& inode) const {
    if (inode.size == 0) return;
    REQUIRE(inode.layout == erofs::kChunkBased && (inode.u & ~0x3fu) == 0 && (inode.u & erofs::kChunkIndexes) != 0);
    const uint64_t chunk = kBlockSize << (inode.u & 0x1f);
    uint64_t at = (inode.end + 7) / 8 * 8;
    for (uint64_t begin = 0; begin < inode.size; begin += chunk, at += kChunkIndexSize) {
      erofs::ChunkIndex index;
      get(at, index);
      if (index.startblk == erofs::kNullBlock) continue;
      REQUIRE(index.device_id <= 1);
      const uint64_t left = inode.size - begin < chunk ? inode.size - begin : chunk;
      const uint64_t whole = index.device_id == 0 ? image_.size : device_size_;
      REQUIRE(index.startblk * kBlockSize <= whole && left <= whole - index.startblk * kBlockSize);
    }
  }

  // The bytes of flat data from `offset` on, at most to the next border of a block.
  const uint8_t* flat(const Inode& inode, uint64_t offset, size_t& size) const {
    const uint64_t blocks = (inode.size + kBlockSize - 1) / kBlockSize;
    const uint64_t left = inode.size - offset;
    size = left < kBlockSize ? left : kBlockSize;
    uint64_t at = uint64_t{inode.u} * kBlockSize + offset;
    if (inode.layout == erofs::kFlatInline && offset / kBlockSize == blocks - 1) {
      at = inode.end;
      REQUIRE(at % kBlockSize + size <= kBlockSize);
    }
    REQUIRE(at <= image_.size && size <= image_.size - at);
    return image_.bytes + at;
  }

  void folder(uint64_t nid, uint64_t parent, int depth) {
    REQUIRE(depth < 2100);
    const Inode self = inode(nid);
    REQUIRE(S_ISDIR(self.mode) && self.size > 0 && self.layout != erofs::kChunkBased);
    char last[256] = {};
    size_t last_size = 0;
    bool dot = false, dotdot = false;
    uint32_t links = 2;
    for (uint64_t offset = 0; offset < self.size; offset += kBlockSize) {
      size_t size;
      const uint8_t* const block = flat(self, offset, size);
      erofs::Dirent first;
      REQUIRE(size > sizeof first);
      memcpy(&first, block, sizeof first);
      REQUIRE(first.nameoff % sizeof first == 0 && first.nameoff > 0);
      const size_t count = first.nameoff / sizeof first;
      for (size_t i = 0; i < count; i++) {
        erofs::Dirent dirent, next;
        REQUIRE((i + 1) * sizeof dirent <= size);
        memcpy(&dirent, block + i * sizeof dirent, sizeof dirent);
        size_t end = dirent.nameoff;
        if (i + 1 < count) {
          memcpy(&next, block + (i + 1) * sizeof next, sizeof next);
          end = next.nameoff;
        } else {
          while (end < size && block[end] != 0) end++;
        }
        REQUIRE(end <= size && end > dirent.nameoff && end - dirent.nameoff <= kMaxName);
        const auto* const name = reinterpret_cast<const char*>(block + dirent.nameoff);
        const size_t length = end - dirent.nameoff;
        REQUIRE(memchr(name, 0, length) == nullptr && memchr(name, '/', length) == nullptr);
        const int order = memcmp(last, name, last_size < length ? last_size : length);
        REQUIRE(order < 0 || (order == 0 && last_size < length));
        memcpy(last, name, length);
        last_size = length;
        seen_++;
        if (length == 1 && name[0] == '.') {
          REQUIRE(dirent.nid == nid && !dot);
          dot = true;
        } else if (length == 2 && name[0] == '.' && name[1] == '.') {
          REQUIRE(dirent.nid == parent && !dotdot);
          dotdot = true;
        } else {
          child(dirent, nid, depth);
          if (dirent.file_type == 2) links++;
        }
      }
    }
    REQUIRE(dot && dotdot && links == self.links);
  }

  void child(const erofs::Dirent& dirent, uint64_t folder_nid, int depth) {
    if (dirent.file_type == 2) return folder(dirent.nid, folder_nid, depth + 1);
    const Inode node = inode(dirent.nid);
    switch (node.mode & S_IFMT) {
      case S_IFREG:
        REQUIRE(dirent.file_type == 1);
        return file(node);
      case S_IFLNK:
        REQUIRE(dirent.file_type == 7 && node.size > 0 && node.size < 4096);
        for (uint64_t at = 0; at < node.size; at += kBlockSize) {
          size_t size;
          const uint8_t* const text = flat(node, at, size);
          REQUIRE(memchr(text, 0, size) == nullptr);
        }
        return;
      case S_IFCHR:
        REQUIRE(dirent.file_type == 3);
        return;
      case S_IFBLK:
        REQUIRE(dirent.file_type == 4);
        return;
      case S_IFIFO:
        REQUIRE(dirent.file_type == 5);
        return;
      default:
        abort();
    }
  }

  const Image& image_;
  const uint64_t device_size_;
  uint64_t inodes_ = 0;
  uint64_t seen_ = 0;
};

bool make(const uint8_t* archive, size_t size, const IndexOptions& options, Image& image, bool seek) {
  Bytes bytes{archive, size};
  tar::Reader reader({read_bytes, &bytes, seek ? skip_bytes : nullptr});
  Index index(options);
  Bytes all{archive, size};
  const bool done = index.scan(reader, 0) && index.write({write_image, &image}, {read_at, &all}, size);
  const IndexReport& report = index.report();
  REQUIRE(done == (report.outcome == Outcome::kDone) && done == !report.failure);
  uint64_t implied = 0;
  index.implied(
      [](void* context, const char* path) {
        REQUIRE(strlen(path) < tar::kMaxPath);
        return ++*static_cast<uint64_t*>(context) < 1000;
      },
      &implied);
  return done;
}

void keep(const uint8_t* archive, size_t size, const Image& image) {
  static const char* const folder = getenv("BOXCTL_KEEP");
  static unsigned number = 0, kept = 0;
  if (folder == nullptr || number++ % 400 != 0) return;
  const auto save = [&](const char* suffix, const uint8_t* data, size_t length) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%u.%s", folder, kept, suffix);
    FILE* const file = fopen(path, "wb");
    REQUIRE(file != nullptr && fwrite(data, 1, length, file) == length && fclose(file) == 0);
  };
  save("tar", archive, size);
  save("index", image.bytes, image.size);
  kept++;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Image image, again;
  if (size == 0) return 0;
  IndexOptions options;
  options.walk.whiteouts = static_cast<Whiteouts>(data[0] % 3);
  options.index_bytes = kLimit;
  auto* const archive = static_cast<uint8_t*>(malloc(size));
  REQUIRE(archive != nullptr);
  memcpy(archive, data, size);
  // Whatever is a header has a checksum that is right; in data it does no harm.
  for (size_t at = 0; at + 512 <= size; at += 512) {
    uint8_t* const block = archive + at;
    unsigned sum = 8 * ' ';
    for (size_t i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 0 : block[i];
    if (sum != 8 * ' ') snprintf(reinterpret_cast<char*>(block) + 148, 8, "%06o", sum);
  }
  image.size = 0;
  if (make(archive, size, options, image, true)) {
    Check(image, size).run();
    again.size = 0;
    REQUIRE(make(archive, size, options, again, false));
    REQUIRE(image.size == again.size && memcmp(image.bytes, again.bytes, image.size) == 0);
    keep(archive, size, image);
  }
  free(archive);
  return 0;
}

#ifdef STANDALONE
#include "mutate.h"
#endif
