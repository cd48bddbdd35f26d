// An EROFS image that holds only what describes files ("the index"), made in one pass over an uncompressed tar archive;
// the data of files stays in the archive, which is the image's second device. The kernel mounts the pair read-only, and
// overlay takes it as a lower layer: nothing is unpacked.
//
// The format is that of the kernel's Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h: blocks of 512 bytes,
// since tar knows no other border, files in chunks with a device table of one extra device, inodes of 64 bytes (of 32
// where the time is the most frequent one), attributes and the ends of folders behind the inode.
//
// Mounting: fsopen("erofs"), fsconfig `source` = index, `device` = archive, both also as /proc/self/fd/N; the mount
// keeps its own hold of the files, whose names may go. The detached mount can be id-mapped, and be overlay's
// `lowerdir+`.
// - Linux 6.12 and up, CONFIG_EROFS_FS_BACKED_BY_FILE: plain files. The index must lie on a file system of its own
//   pages, not on tmpfs, in a memfd or on overlay: do not try, look at statfs(2) first (6.18 says ENOTBLK, and once
//   wrote a warning). The archive may lie anywhere, and overlay on top works there, too.
// - Before: two loop devices of 512-byte blocks, read-only and with autoclear, wherever the files lie (tried on
// Debian's
//   6.1.0-56 and on 6.18; blocks smaller than a page came with Linux 6.4). Both must be of one kind, files or devices.
// - User attributes need CONFIG_EROFS_FS_XATTR, file capabilities CONFIG_EROFS_FS_SECURITY, access lists
//   CONFIG_EROFS_FS_POSIX_ACL. It takes CAP_SYS_ADMIN in the first user namespace.
// What is written to the archive is seen where the page cache has not got it yet, and what is cut off is EIO (6.18). A
// read lease (F_SETLEASE) holds a writer back for /proc/sys/fs/lease-break-time only, 45 s; that it is refused with
// EAGAIN tells that somebody has the archive open for writing.
#pragma once

#include "scan.h"

namespace boxctl::image {

// What an index is written to; false with errno on failure. Offsets only ever leave a gap at the start of the file,
// which is filled last: an index that is not complete cannot be mounted.
struct Sink {
  bool (*write)(void* context, uint64_t offset, const void* bytes, size_t size);
  void* context;
};

// Where data is read from that must be copied into the index (parts of sparse files that lie at no block): behaves as
// pread(2).
struct Data {
  ssize_t (*read)(void* context, void* buffer, size_t size, uint64_t offset);
  void* context;
};

class Index {
 public:
  explicit Index(const IndexOptions& options);
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // Reads the archive to its end mark; a stream whose writer must not be cut off is drained after it. Each only if what
  // comes before it returned true; else see report().
  bool scan(tar::Reader& reader, uint64_t base);
  // `device_size`: of the file in which the archive lies. The same archive gives the same bytes.
  bool write(Sink sink, Data data, uint64_t device_size);

  const IndexReport& report() const { return report_; }

  // Goes through the folders that no entry names, from the root down, but those that a whiteout of the same layer cuts
  // off: their attributes are those of the layers below. `path` is "" for the root. Stops when `found` returns false.
  void implied(bool (*found)(void* context, const char* path), void* context) const;
  // The same for the targets of a layer's hard links that are not in it; the links are not in the index.
  void wanted(bool (*found)(void* context, const char* path), void* context) const;

 private:
  IndexOptions options_;
  Tree tree_;
  IndexReport report_;
};

// A part of a seekable descriptor as a source of the tar reader: reads little pieces, skips without reading.
class HeaderSource {
 public:
  HeaderSource(int fd, uint64_t offset, uint64_t size)
      : fd_(fd), at_(offset), end_(size > UINT64_MAX - offset ? UINT64_MAX : offset + size) {}
  Source source() { return {read, this, skip}; }

 private:
  static ssize_t read(void* context, void* buffer, size_t size);
  static bool skip(void* context, uint64_t size);
  const int fd_;
  uint64_t at_;
  const uint64_t end_;
};

// Index::write() with descriptors: the archive lies in `tar_fd`, whose size is given; the index is written from the
// start of `out_fd`.
bool write_index(Index& index, int tar_fd, uint64_t size, int out_fd);
// Both steps: the archive is the part of `tar_fd` from `offset`, a multiple of 512, on.
bool index_tar(Index& index, int tar_fd, uint64_t offset, uint64_t size, int out_fd);

}  // namespace boxctl::image
