#include "foreign.h"

#include <string.h>

namespace boxctl::foreign {

namespace {

struct Format {
  size_t offset;
  const char* mark;
  size_t size;
  const char* sentence;
  const char* advice;
};

constexpr char kIso[] = "this is an ISO 9660 image, which is not supported";
constexpr char kDisk[] = "this is the image of a disk, which is not supported";
constexpr char kLzma[] = "this is compressed by lzma (.lzma), which is not supported";
constexpr char kTwice[] = "this is compressed twice";
constexpr char kText[] = "this is a text file, and no archive";

constexpr char kByBsdtar[] = "convert it: bsdtar -cf rootfs.tar @FILE";
constexpr char kByGuestfs[] = "take the files out of it: virt-tar-out -a FILE / rootfs.tar";
constexpr char kUnpacked[] = "decompress it once, with gzip, xz, zstd or bzip2 -dc";
constexpr char kReadIt[] = "look at it: head FILE; what was downloaded may be an error page, or a page about the file";

#define MARK(text) text, sizeof(text) - 1
// The more telling mark first: an ISO image has a disk's boot sector, too.
constexpr Format kFormats[] = {
    {0, MARK("\x1f\x9d"), "this is compressed by compress (.Z), which is not supported",
     "decompress it: gzip -dc FILE >rootfs.tar"},
    {0, MARK("LZIP"), "this is compressed by lzip (.lz), which is not supported",
     "decompress it: lzip -dc FILE >rootfs.tar"},
    {0, MARK("\x04\x22\x4d\x18"), "this is compressed by lz4, which is not supported",
     "decompress it: lz4 -dc FILE >rootfs.tar"},
    {0, MARK("\x02\x21\x4c\x18"), "this is compressed by lz4, which is not supported",
     "decompress it: lz4 -dc FILE >rootfs.tar"},
    {0, MARK("\x89LZO\0\r\n\x1a\n"), "this is compressed by lzop, which is not supported",
     "decompress it: lzop -dc FILE >rootfs.tar"},
    {0, MARK("LRZI"), "this is compressed by lrzip, which is not supported",
     "decompress it: lrzip -d -o rootfs.tar FILE"},
    {0, MARK("\xff\x06\0\0sNaPpY"), "this is compressed by snappy, which is not supported",
     "decompress it: snzip -dc FILE >rootfs.tar"},
    {0, MARK("PK\x03\x04"), "this is a zip archive, which is not supported",
     "convert it: bsdtar -cf rootfs.tar @FILE; or unzip it, if it holds an archive"},
    {0, MARK("PK\x05\x06"), "this is an empty zip archive, which is not supported", kByBsdtar},
    {0, MARK("7z\xbc\xaf\x27\x1c"), "this is a 7z archive, which is not supported", kByBsdtar},
    {0, MARK("Rar!\x1a\x07"), "this is a rar archive, which is not supported", kByBsdtar},
    {0, MARK("MSCF\0\0\0\0"), "this is a cabinet (.cab), which is not supported", kByBsdtar},
    {0, MARK("xar!"), "this is a xar archive, which is not supported", kByBsdtar},
    {0, MARK("070701"), "this is a cpio archive, which is not supported", kByBsdtar},
    {0, MARK("070702"), "this is a cpio archive, which is not supported", kByBsdtar},
    {0, MARK("070707"), "this is a cpio archive, which is not supported", kByBsdtar},
    {0, MARK("\xc7\x71"), "this is a cpio archive, which is not supported", kByBsdtar},
    {0, MARK("\x71\xc7"), "this is a cpio archive, which is not supported", kByBsdtar},
    {0, MARK("!<arch>\ndebian"), "this is a Debian package, which is not supported",
     "take the files out of it: dpkg-deb --fsys-tarfile FILE >rootfs.tar"},
    {0, MARK("!<arch>\n"), "this is an archive of ar, which is not supported", kByBsdtar},
    {0, MARK("\xed\xab\xee\xdb"), "this is an RPM package, which is not supported", kByBsdtar},
    {0, MARK("MSWIM\0\0\0"), "this is a WIM image, which is not supported", "take the files out of it with wimapply"},
    {0, MARK("hsqs"), "this is a squashfs image, which is not supported", "convert it: sqfs2tar FILE >rootfs.tar"},
    {0, MARK("sqsh"), "this is a squashfs image, which is not supported", "convert it: sqfs2tar FILE >rootfs.tar"},
    {32, MARK("SIF_MAGIC"), "this is a Singularity image (SIF), which is not supported",
     "unpack it: singularity build --sandbox DIR FILE; then: tar -C DIR -cf rootfs.tar ."},
    {0, MARK("QFI\xfb"), "this is the image of a disk (qcow2), which is not supported", kByGuestfs},
    {0, MARK("KDMV"), "this is the image of a disk (VMDK), which is not supported", kByGuestfs},
    {0, MARK("# Disk DescriptorFile"), "this is the image of a disk (VMDK), which is not supported", kByGuestfs},
    {0, MARK("vhdxfile"), "this is the image of a disk (VHDX), which is not supported", kByGuestfs},
    {0, MARK("conectix"), "this is the image of a disk (VHD), which is not supported", kByGuestfs},
    {64, MARK("\x7f\x10\xda\xbe"), "this is the image of a disk (VDI), which is not supported", kByGuestfs},
    {0x8001, MARK("CD001"), kIso, kByBsdtar},
    {0x8001, MARK("BEA01"), "this is a UDF image, which is not supported", kByGuestfs},
    {0x400, MARK("\xe2\xe1\xf5\xe0"), "this is an EROFS image, which is not supported",
     "unpack it: fsck.erofs --extract=DIR FILE; then: tar -C DIR -cf rootfs.tar ."},
    {0x438, MARK("\x53\xef"), "this is the image of an ext4 file system, which is not supported", kByGuestfs},
    {0, MARK("XFSB"), "this is the image of an XFS file system, which is not supported", kByGuestfs},
    {0x10040, MARK("_BHRfS_M"), "this is the image of a btrfs file system, which is not supported", kByGuestfs},
    {0x400, MARK("\x10\x20\xf5\xf2"), "this is the image of an F2FS file system, which is not supported", kByGuestfs},
    {0, MARK("\x45\x3d\xcd\x28"), "this is the image of a cramfs file system, which is not supported", kByGuestfs},
    {0x200, MARK("EFI PART"), kDisk, kByGuestfs},
    {0x1000, MARK("EFI PART"), kDisk, kByGuestfs},
    {0,
     MARK("\x7f"
          "ELF"),
     "this is a program, and no archive", "give the archive of a root file system: tar -C DIR -cf rootfs.tar ."},
    {0, MARK("version https://git-lfs.github.com/spec/"), "this is what Git LFS has in place of a file",
     "fetch the file itself: git lfs pull"},
    {0, MARK("\x1f\x8b\x08"), kTwice, kUnpacked},
    {0, MARK("\xfd\x37zXZ\0"), kTwice, kUnpacked},
    {0, MARK("\x28\xb5\x2f\xfd"), kTwice, kUnpacked},
    {0, MARK("BZh"), kTwice, kUnpacked},
    // What has no mark that could be compared: recognise() looks at it.
    {0, nullptr, 0, kLzma, "decompress it: xz -dc --format=lzma FILE >rootfs.tar"},
    {0, nullptr, 0, kDisk, kByGuestfs},
    {0, nullptr, 0, kText, kReadIt},
};
#undef MARK

// The format has no mark: properties, a dictionary of 2^n or 2^n + 2^m bytes, and a size that is open or sensible.
bool is_lzma(const uint8_t* start, size_t size) {
  if (size < 14 || start[0] >= 9 * 5 * 5 || start[13] != 0) return false;
  uint32_t dictionary = 0;
  uint64_t plain = 0;
  memcpy(&dictionary, start + 1, sizeof dictionary);
  memcpy(&plain, start + 5, sizeof plain);
  if (dictionary < 1 << 12) return false;
  const uint32_t rest = dictionary & (dictionary - 1);
  const bool usual = rest == 0 || dictionary == UINT32_MAX || (rest & (rest - 1)) == 0;
  return usual && (plain == UINT64_MAX || plain < uint64_t{1} << 38);
}

// ASCII letters above all, and no control characters but blanks, line ends and escape sequences.
bool is_text(const uint8_t* start, size_t size) {
  size_t ascii = 0;
  for (size_t i = 0; i < size; i++) {
    const bool blank = start[i] >= '\t' && start[i] <= '\r';
    if ((start[i] < ' ' && !blank && start[i] != 0x1b) || start[i] == 0x7f) return false;
    ascii += start[i] < 0x80 ? 1 : 0;
  }
  return ascii > size / 2;
}

}  // namespace

const char* recognise(const uint8_t* start, size_t size) {
  for (const Format& format : kFormats) {
    if (format.mark == nullptr || size < format.offset + format.size) continue;
    if (memcmp(start + format.offset, format.mark, format.size) == 0) return format.sentence;
  }
  if (is_lzma(start, size)) return kLzma;
  if (size >= 512 && start[510] == 0x55 && start[511] == 0xaa) return kDisk;
  return is_text(start, size) ? kText : nullptr;
}

const char* advice(const char* sentence) {
  for (const Format& format : kFormats) {
    if (strcmp(format.sentence, sentence) == 0) return format.advice;
  }
  return nullptr;
}

}  // namespace boxctl::foreign
