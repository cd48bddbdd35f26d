// EROFS as it lies on disk: what the index of an archive uses of it. Written down from the kernel's description,
// Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h (Linux 5.15 to 6.18); the names are the kernel's.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <bit>

namespace boxctl::image::erofs {

// All numbers are little-endian, as are both machines that boxctl runs on.
static_assert(std::endian::native == std::endian::little);

inline constexpr uint64_t kSuperOffset = 1024;
inline constexpr uint32_t kMagic = 0xe0f5e1e2;

// feature_compat: times are those of modification, not of change.
inline constexpr uint32_t kCompatMtime = 0x2;
// feature_incompat
inline constexpr uint32_t kIncompatChunkedFile = 0x4;
inline constexpr uint32_t kIncompatDeviceTable = 0x8;

struct SuperBlock {
  uint32_t magic;
  uint32_t checksum;  // only counts with its feature, which is not set
  uint32_t feature_compat;
  uint8_t blkszbits;
  uint8_t sb_extslots;
  uint16_t root_nid;
  uint64_t inos;
  uint64_t epoch;       // the time of all compact inodes, seconds
  uint32_t fixed_nsec;  // and nanoseconds
  uint32_t blocks;
  uint32_t meta_blkaddr;
  uint32_t xattr_blkaddr;
  uint8_t uuid[16];
  uint8_t volume_name[16];
  uint32_t feature_incompat;
  uint16_t available_compr_algs;
  uint16_t extra_devices;
  uint16_t devt_slotoff;  // the device table begins at this times 128
  uint8_t dirblkbits;
  uint8_t xattr_prefix_count;
  uint32_t xattr_prefix_start;
  uint64_t packed_nid;
  uint8_t xattr_filter_reserved;
  uint8_t reserved[23];
};
static_assert(sizeof(SuperBlock) == 128);

struct DeviceSlot {
  uint8_t tag[64];
  uint32_t blocks;
  uint32_t uniaddr;
  uint8_t reserved[56];
};
static_assert(sizeof(DeviceSlot) == 128);

// i_format: the version of the inode, and how its data lies from bit 1 on.
inline constexpr uint16_t kCompact = 0;
inline constexpr uint16_t kExtended = 1;
inline constexpr uint16_t kFlatPlain = 0 << 1;
inline constexpr uint16_t kFlatInline = 2 << 1;  // the last block's data lies behind the inode and its attributes
inline constexpr uint16_t kChunkBased = 4 << 1;
// The chunk format beside the size of chunks: indexes of 8 bytes, which can name a device.
inline constexpr uint32_t kChunkIndexes = 0x20;

// i_u of both is the first block of flat data, the number of a device node, or the chunk format.
struct CompactInode {
  uint16_t i_format;
  uint16_t i_xattr_icount;
  uint16_t i_mode;
  uint16_t i_nlink;
  uint32_t i_size;
  uint32_t i_mtime;  // added to the epoch since 6.15; ignored before
  uint32_t i_u;
  uint32_t i_ino;
  uint16_t i_uid;
  uint16_t i_gid;
  uint32_t i_reserved;
};
static_assert(sizeof(CompactInode) == 32);

struct ExtendedInode {
  uint16_t i_format;
  uint16_t i_xattr_icount;
  uint16_t i_mode;
  uint16_t i_nb;
  uint64_t i_size;
  uint32_t i_u;
  uint32_t i_ino;
  uint32_t i_uid;
  uint32_t i_gid;
  uint64_t i_mtime;
  uint32_t i_mtime_nsec;
  uint32_t i_nlink;
  uint8_t i_reserved2[16];
};
static_assert(sizeof(ExtendedInode) == 64);

// Inodes begin at multiples of this; their number is that place divided by it.
inline constexpr uint64_t kSlot = 32;

struct XattrHeader {
  uint32_t h_name_filter;
  uint8_t h_shared_count;
  uint8_t h_reserved[7];
};
static_assert(sizeof(XattrHeader) == 12);

// Followed by the name without its prefix and the value; the next begins at a multiple of 4.
struct XattrEntry {
  uint8_t e_name_len;
  uint8_t e_name_index;
  uint16_t e_value_size;
};
static_assert(sizeof(XattrEntry) == 4);

inline constexpr uint8_t kXattrUser = 1;
inline constexpr uint8_t kXattrAclAccess = 2;
inline constexpr uint8_t kXattrAclDefault = 3;
inline constexpr uint8_t kXattrTrusted = 4;
inline constexpr uint8_t kXattrSecurity = 6;

// i_xattr_icount counts the header as one and every 4 bytes of entries as one more, in 16 bits.
inline constexpr size_t kMaxXattrBytes = 4 * (0xffff - 1);

struct ChunkIndex {
  uint16_t startblk_hi;
  uint16_t device_id;  // 0 is the index itself
  uint32_t startblk;
};
static_assert(sizeof(ChunkIndex) == 8);
inline constexpr uint32_t kNullBlock = 0xffffffff;  // a hole

struct __attribute__((packed)) Dirent {
  uint64_t nid;
  uint16_t nameoff;
  uint8_t file_type;  // 1 regular, 2 directory, 3 character, 4 block device, 5 fifo, 6 socket, 7 symbolic link
  uint8_t reserved;
};
static_assert(sizeof(Dirent) == 12);

}  // namespace boxctl::image::erofs
