// The headers of a tar archive that describe the entry after them: pax extended headers, and GNU's long names.
#include <errno.h>
#include <string.h>

#include "tar_header.h"

namespace boxctl::tar {
namespace {

constexpr size_t kMaxLong = 64 * 1024;

}  // namespace

// Reads the data of a header that describes the next one into `text`, with a NUL after it.
bool Reader::read_text(uint64_t size, size_t limit, List<char>& text) {
  if (size > limit) return fail("a header of the archive is too long");
  const auto length = static_cast<size_t>(size);
  if (!text.resize(length + 1)) return fail(kNoMemory, ENOMEM);
  bool at_end = false;
  if (!take(text.begin(), length, at_end)) return false;
  if (at_end) return fail("the archive is cut short");
  text[length] = 0;
  return skip(padding_of(size));
}

// GNU's `L` and `K`: a name, ended by a NUL or by the size.
bool Reader::read_long(uint64_t size, char* out) {
  char text[kMaxPath] = {};
  if (size > kMaxLong) return fail("a header of the archive is too long");
  for (uint64_t i = 0; i < size; i++) {
    char byte;
    bool at_end;
    if (!take(&byte, 1, at_end)) return false;
    if (at_end) return fail("the archive is cut short");
    if (i < kMaxPath) text[i] = byte;
    if (i >= kMaxPath - 1 && byte != 0) return fail("a path is longer than 4095 bytes");
  }
  const size_t length = strlen(text);
  for (size_t i = length; i < size && i < kMaxPath; i++) {
    if (text[i] != 0) return fail("a path contains a NUL byte");
  }
  memcpy(out, text, kMaxPath);
  return skip(padding_of(size));
}

// Records of the form "LENGTH KEY=VALUE\n", where LENGTH counts the whole record.
bool Reader::parse_pax(uint64_t size, Overrides& overrides, bool global) {
  // The attributes of the entry point into its own header's text, which a global one must not take away.
  List<char>& memory = global ? global_pax_ : pax_;
  if (!global) entry_.xattr_count = 0;
  if (!read_text(size, kMaxPax, memory)) return false;
  char* const text = memory.begin();
  const auto length = static_cast<size_t>(size);
  for (size_t at = 0; at < length;) {
    size_t record = 0, digits = 0;
    while (at + digits < length && text[at + digits] >= '0' && text[at + digits] <= '9' && digits < 8) {
      record = record * 10 + static_cast<size_t>(text[at + digits] - '0');
      digits++;
    }
    if (digits == 0 || record < digits + 3 || record > length - at || text[at + digits] != ' ' ||
        text[at + record - 1] != '\n') {
      return fail("an extended header of the archive is malformed");
    }
    char* const key = text + at + digits + 1;
    char* const end = text + at + record - 1;
    char* const equals = static_cast<char*>(memchr(key, '=', static_cast<size_t>(end - key)));
    if (equals == nullptr || equals == key) return fail("an extended header of the archive is malformed");
    *equals = 0;
    *end = 0;
    if (!pax_record(key, equals + 1, static_cast<size_t>(end - equals - 1), overrides, global)) return false;
    at += record;
  }
  return true;
}

bool Reader::pax_record(char* key, char* value, size_t size, Overrides& o, bool global) {
  const auto is = [key](const char* name) { return strcmp(key, name) == 0; };
  if (strlen(key) != static_cast<size_t>(value - key) - 1) return fail("an extended header contains a NUL byte");

  constexpr char kXattr[] = "SCHILY.xattr.";
  if (strncmp(key, kXattr, sizeof kXattr - 1) == 0) {
    if (global) return true;  // what only one entry can have, as below
    const char* const name = key + sizeof kXattr - 1;
    if (*name == 0) return fail("an extended attribute has no name");
    if (entry_.xattr_count == kMaxXattrs) return fail("an entry has too many extended attributes");
    entry_.xattrs[entry_.xattr_count++] = {name, value, size};
    return true;
  }

  const bool sparse = strncmp(key, "GNU.sparse.", 11) == 0;
  const bool path = is("path"), link = is("linkpath");
  const bool known = sparse || path || link || is("size") || is("uid") || is("gid") || is("mtime");
  if (!known) return true;
  // A name, a map or a link of all entries means nothing; GNU tar gives it to each of them, bsdtar and others leave it
  // out. A size would move what follows, so that two readers saw different members.
  if (global && is("size")) return fail("a global header of the archive sets the size of all its entries");
  if (global && (sparse || path || link)) return true;
  if (strlen(value) != size) {
    return fail(path || link ? "a path contains a NUL byte" : "an extended header contains a NUL byte");
  }
  // An empty value takes an earlier one back.
  const bool set = size > 0;

  if (path || link || is("GNU.sparse.name")) {
    if (size >= kMaxPath) return fail("a path is longer than 4095 bytes");
    if (path && o.sparse_name) return true;
    (link ? o.link : o.path) = set;
    if (!link && !path) o.sparse_name = set;
    memcpy(link ? entry_.link : entry_.path, value, size + 1);
    return true;
  }
  if (is("mtime")) {
    // A malformed time is ignored: the entry has the one of its header.
    o.mtime = set && parse_time(value, o.mtime_value, o.mtime_ns);
    return true;
  }

  uint64_t number = 0;
  if (is("GNU.sparse.map")) {
    o.sparse = true;
    for (char* at = value; *at != 0;) {
      char* const first = strsep(&at, ",");
      char* const second = at == nullptr ? nullptr : strsep(&at, ",");
      uint64_t from, much;
      if (second == nullptr || !parse_decimal(first, kMaxSize, from) || !parse_decimal(second, kMaxSize, much)) {
        return fail("the map of a sparse file is malformed");
      }
      if (!add_chunk(from, much)) return false;
      if (at == nullptr) break;
    }
    return true;
  }
  if (set && !parse_decimal(value, kMaxSize, number)) return fail("a number in an extended header is malformed");
  if (is("size")) {
    o.size = set;
    o.size_value = number;
  } else if (is("uid")) {
    o.uid = set;
    o.uid_value = number;
  } else if (is("gid")) {
    o.gid = set;
    o.gid_value = number;
  } else if (is("GNU.sparse.size") || is("GNU.sparse.realsize")) {
    o.sparse = o.has_real_size = true;
    o.real_size = number;
  } else if (is("GNU.sparse.major")) {
    o.sparse = true;
    o.sparse_major = number;
  } else if (is("GNU.sparse.minor")) {
    o.sparse_minor = number;
  } else if (is("GNU.sparse.offset")) {
    o.has_pending_offset = true;
    o.pending_offset = number;
  } else if (is("GNU.sparse.numbytes")) {
    if (!o.has_pending_offset) return fail("the map of a sparse file is malformed");
    o.has_pending_offset = false;
    return add_chunk(o.pending_offset, number);
  }
  return true;
}

}  // namespace boxctl::tar
