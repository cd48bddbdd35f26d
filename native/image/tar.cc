#include "tar.h"

#include <string.h>

#include "tar_header.h"

namespace boxctl::tar {
namespace {

// Headers that only describe the next one. An archive with an endless chain of them would keep the reader busy for
// ever.
constexpr int kMaxMetaHeaders = 100;

}  // namespace

Reader::Step Reader::next() {
  if (failure_) return Step::kError;
  if (!skip(stored_) || !skip(padding_)) return Step::kError;
  stored_ = padding_ = 0;
  entry_.path[0] = entry_.link[0] = 0;
  entry_.xattr_count = 0;
  entry_.type = Type::kUnknown;
  entry_.mtime_ns = entry_.major = entry_.minor = 0;
  chunks_.clear();
  sparse_ = false;

  Preceding preceding;
  for (int headers = 0;; headers++) {
    Header header;
    bool end = false;
    if (!read_header(header, preceding, end)) return Step::kError;
    if (end) return Step::kEnd;
    if (!header.describes_next()) return parse_entry(header, preceding) ? Step::kEntry : Step::kError;
    if (headers == kMaxMetaHeaders) {
      fail("too many headers describe one entry");
      return Step::kError;
    }
    if (!read_description(header, preceding)) return Step::kError;
  }
}

// The next block, which must be a header. `end`: the archive's end mark, or the end of the stream.
bool Reader::read_header(Header& header, const Preceding& preceding, bool& end) {
  size_t got = 0;
  if (!gather(header.bytes, kBlock, got)) return false;
  if (got == 0) {
    end = true;
    // Before an end mark, a header may describe an entry that does not come. Without the mark, the entry may have been
    // cut off.
    return !preceding.any || fail("the archive ends after a header that describes a further entry");
  }
  if (got < kBlock) return any_ ? fail("the archive is cut short") : not_a_tar(header, got, "the archive is cut short");
  if (header.empty()) {
    end = true;
    // Images of disks and of file systems begin with zeroes, too.
    return any_ || not_a_tar(header, got, nullptr);
  }
  if (!header.checksum_matches()) {
    if (!any_) return not_a_tar(header, got, "this is not a tar archive");
    return fail("the checksum of a header does not match: the archive is damaged");
  }
  any_ = true;
  return true;
}

// The data of a header that describes the next entry, or all that follow.
bool Reader::read_description(const Header& header, Preceding& preceding) {
  int64_t number;
  if (!parse_number(header.size(), 12, number) || number < 0) return fail("a size is malformed");
  const auto size = static_cast<uint64_t>(number);
  if (header.type() == 'g') return read_global(size);
  preceding.any = true;
  switch (header.type()) {
    case 'L':
      preceding.long_path = true;
      return read_long(size, long_path_);
    case 'K':
      preceding.long_link = true;
      return read_long(size, long_link_);
    default:
      // Of several, the last one describes the entry, and nothing of those before it.
      preceding.pax = {};
      chunks_.clear();
      return parse_pax(size, preceding.pax, false);
  }
}

// What it says holds for all entries that follow and do not say otherwise.
bool Reader::read_global(uint64_t size) {
  Overrides global;
  if (!parse_pax(size, global, true)) return false;
  if (global.mtime) {
    has_global_mtime_ = true;
    global_mtime_ = global.mtime_value;
    global_mtime_ns_ = global.mtime_ns;
  }
  if ((global.uid && global.uid_value > kMaxId) || (global.gid && global.gid_value > kMaxId)) {
    return fail("the owner's number is too large");
  }
  if (global.uid) {
    has_global_uid_ = true;
    global_uid_ = static_cast<uint32_t>(global.uid_value);
  }
  if (global.gid) {
    has_global_gid_ = true;
    global_gid_ = static_cast<uint32_t>(global.gid_value);
  }
  return true;
}

bool Reader::parse_entry(const Header& header, const Preceding& preceding) {
  const Overrides& pax = preceding.pax;
  // Names first, so that every later error can say which entry it is about.
  parse_names(header, preceding);
  if (!parse_id(header.uid(), pax.uid, pax.uid_value, has_global_uid_, global_uid_, entry_.uid)) return false;
  if (!parse_id(header.gid(), pax.gid, pax.gid_value, has_global_gid_, global_gid_, entry_.gid)) return false;
  int64_t number;
  if (!parse_number(header.mode(), 8, number) || number < 0) return fail("the mode is malformed");
  entry_.mode = static_cast<uint32_t>(number & 07777);

  if (pax.mtime) {
    entry_.mtime = pax.mtime_value;
    entry_.mtime_ns = pax.mtime_ns;
  } else if (has_global_mtime_) {
    entry_.mtime = global_mtime_;
    entry_.mtime_ns = global_mtime_ns_;
  } else if (!parse_number(header.mtime(), 12, entry_.mtime)) {
    return fail("the time is malformed");
  }

  uint64_t size = pax.size_value;
  if (!pax.size) {
    if (!parse_number(header.size(), 12, number) || number < 0) return fail("the size is malformed or 2^63 and more");
    size = static_cast<uint64_t>(number);
  }
  if (!parse_type(header)) return false;

  // Writers put there what stat(2) said of a folder or a link, or the size of the file that a hard link leads to. None
  // of them has data; a reader that skipped some would take other members for the next ones.
  const char type = header.type();
  const bool has_data = entry_.type == Type::kFile || entry_.type == Type::kUnknown || type == 'D';
  if (!has_data) size = 0;
  stored_ = size;
  padding_ = padding_of(size);
  entry_.size = entry_.type == Type::kFile ? size : 0;
  if (entry_.type != Type::kFile) return true;
  if (type == 'S') return old_sparse(header) && check_chunks();
  if (pax.sparse) return pax_sparse(pax) && check_chunks();
  return true;
}

// A pax record stands above GNU's long name, and that above the header.
void Reader::parse_names(const Header& header, const Preceding& preceding) {
  if (!preceding.pax.path && preceding.long_path) {
    memcpy(entry_.path, long_path_, kMaxPath);
  } else if (!preceding.pax.path) {
    size_t length = 0;
    if (header.posix() && header.prefix()[0] != 0) {
      length = strnlen(header.prefix(), 155);
      memcpy(entry_.path, header.prefix(), length);
      entry_.path[length++] = '/';
    }
    const size_t name = strnlen(header.name(), 100);
    memcpy(entry_.path + length, header.name(), name);
    entry_.path[length + name] = 0;
  }
  if (!preceding.pax.link && preceding.long_link) {
    memcpy(entry_.link, long_link_, kMaxPath);
  } else if (!preceding.pax.link) {
    const size_t length = strnlen(header.link(), 100);
    memcpy(entry_.link, header.link(), length);
    entry_.link[length] = 0;
  }
}

// A uid or gid: of the entry's own pax header, of a global one, or of the field.
bool Reader::parse_id(const char* field, bool has, uint64_t own, bool has_global, uint32_t global, uint32_t& id) {
  uint64_t value = own;
  if (!has && has_global) {
    value = global;
  } else if (!has) {
    int64_t number;
    if (!parse_number(field, 8, number) || number < 0) return fail("the owner's number is malformed");
    value = static_cast<uint64_t>(number);
  }
  if (value > kMaxId) return fail("the owner's number is too large");
  id = static_cast<uint32_t>(value);
  return true;
}

bool Reader::parse_type(const Header& header) {
  const size_t length = strlen(entry_.path);
  switch (header.type()) {
    case 0:
    case '0':
    case '7':
      // Unix V7 had no type for directories, only a slash.
      entry_.type = length > 0 && entry_.path[length - 1] == '/' ? Type::kDirectory : Type::kFile;
      return true;
    case 'S':
      entry_.type = Type::kFile;
      return true;
    case '1':
      entry_.type = Type::kHardLink;
      return true;
    case '2':
      entry_.type = Type::kSymlink;
      return true;
    case '3':
      entry_.type = Type::kCharacter;
      return parse_device(header);
    case '4':
      entry_.type = Type::kBlock;
      return parse_device(header);
    case '5':
    case 'D':  // GNU's folder of an incremental archive, which has the names in it as its data
      entry_.type = Type::kDirectory;
      return true;
    case '6':
      entry_.type = Type::kFifo;
      return true;
    case 'M':
      return fail("the archive is a part of several volumes");
    default:
      return true;
  }
}

bool Reader::parse_device(const Header& header) {
  int64_t major, minor;
  if (!parse_number(header.major(), 8, major) || !parse_number(header.minor(), 8, minor) || major < 0 || minor < 0 ||
      major > 0xfff || minor > 0xfffff) {
    return fail("the device number is malformed");
  }
  entry_.major = static_cast<uint32_t>(major);
  entry_.minor = static_cast<uint32_t>(minor);
  return true;
}

}  // namespace boxctl::tar
