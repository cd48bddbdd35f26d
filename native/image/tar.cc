#include "tar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foreign.h"

namespace boxctl::tar {

namespace {

constexpr size_t kBlock = 512;
constexpr size_t kBuffer = 256 * 1024;
constexpr size_t kMaxLong = 64 * 1024;
// Headers that only describe the next one; a chain without end is an attack.
constexpr int kMaxMetaHeaders = 100;
constexpr uint64_t kMaxSize = INT64_MAX;

uint64_t padding_of(uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

}  // namespace

// A block of the archive, by its places in ustar. GNU's sparse map lies where ustar has its prefix.
struct Reader::Header {
  char bytes[kBlock];

  const char* name() const { return bytes; }
  const char* mode() const { return bytes + 100; }
  const char* uid() const { return bytes + 108; }
  const char* gid() const { return bytes + 116; }
  const char* size() const { return bytes + 124; }
  const char* mtime() const { return bytes + 136; }
  char type() const { return bytes[156]; }
  const char* link() const { return bytes + 157; }
  const char* major() const { return bytes + 329; }
  const char* minor() const { return bytes + 337; }
  const char* prefix() const { return bytes + 345; }
  const char* sparse() const { return bytes + 386; }
  char extended() const { return bytes[482]; }
  const char* real_size() const { return bytes + 483; }

  bool posix() const { return memcmp(bytes + 257, "ustar\0", 6) == 0; }
  bool gnu() const { return memcmp(bytes + 257, "ustar  ", 8) == 0; }

  bool empty() const {
    for (char byte : bytes) {
      if (byte != 0) return false;
    }
    return true;
  }

  // The sum of the bytes with the field itself as spaces. Old archives added signed bytes.
  bool checksum_matches() const {
    int64_t stated;
    if (!parse_number(bytes + 148, 8, stated)) return false;
    // All of it without a branch, then the field taken out again.
    unsigned sum = 0;
    for (char byte : bytes) sum += static_cast<unsigned char>(byte);
    int signed_sum = 0;
    for (char byte : bytes) signed_sum += static_cast<signed char>(byte);
    for (size_t i = 148; i < 156; i++) {
      sum += ' ' - static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
      signed_sum += ' ' - static_cast<signed char>(bytes[i]);
    }
    return stated == sum || stated == signed_sum;
  }
};

// What a pax header says in place of the entry's own fields.
struct Reader::Overrides {
  bool path = false, link = false, size = false, uid = false, gid = false, mtime = false;
  uint64_t size_value = 0, uid_value = 0, gid_value = 0;
  int64_t mtime_value = 0;
  uint32_t mtime_ns = 0;

  bool sparse = false, sparse_name = false, has_real_size = false;
  uint64_t sparse_major = 0, sparse_minor = 0, real_size = 0;
  bool has_pending_offset = false;
  uint64_t pending_offset = 0;
};

bool parse_number(const char* field, size_t size, int64_t& value) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(field);
  if (bytes[0] & 0x80) {
    // GNU's base-256: two's complement, most significant byte first, the top bit only a mark.
    const bool negative = bytes[0] & 0x40;
    uint64_t bits = negative ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < size; i++) {
      unsigned char byte = bytes[i];
      if (i == 0) byte = static_cast<unsigned char>(negative ? byte | 0x80 : byte & 0x7f);
      const uint64_t out = bits >> 56;
      if (out != (negative ? 0xff : 0)) return false;
      bits = bits << 8 | byte;
    }
    value = static_cast<int64_t>(bits);
    return (value < 0) == negative;
  }
  // As GNU tar reads it: one NUL that an overflow of the field before has left, blanks, digits; whatever follows a NUL
  // or a blank is not part of the number.
  const auto blank = [](unsigned char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); };
  size_t i = bytes[0] == 0 ? 1 : 0;
  while (i < size && blank(bytes[i])) i++;
  uint64_t number = 0;
  for (; i < size && bytes[i] >= '0' && bytes[i] <= '7'; i++) {
    if (number >> 60 != 0) return false;
    number = number << 3 | (bytes[i] - '0');
  }
  if (i < size && bytes[i] != 0 && !blank(bytes[i])) return false;
  if (number > kMaxSize) return false;
  value = static_cast<int64_t>(number);
  return true;
}

bool parse_decimal(const char* text, uint64_t limit, uint64_t& value) {
  if (*text == 0) return false;
  uint64_t number = 0;
  for (; *text != 0; text++) {
    if (*text < '0' || *text > '9') return false;
    const uint64_t digit = static_cast<uint64_t>(*text - '0');
    if (number > (limit - digit) / 10) return false;
    number = number * 10 + digit;
  }
  value = number;
  return true;
}

bool parse_time(const char* text, int64_t& seconds, uint32_t& nanoseconds) {
  const bool negative = *text == '-';
  if (negative) text++;
  // Far beyond what any file system keeps, far from overflow.
  constexpr int64_t kMax = int64_t{1} << 60;
  int64_t whole = 0;
  if (*text < '0' || *text > '9') return false;
  for (; *text >= '0' && *text <= '9'; text++) {
    if (whole > kMax / 10) return false;
    whole = whole * 10 + (*text - '0');
  }
  uint32_t fraction = 0;
  bool beyond = false;
  if (*text == '.') {
    text++;
    uint32_t unit = 100'000'000;
    for (; *text >= '0' && *text <= '9'; text++) {
      fraction += static_cast<uint32_t>(*text - '0') * unit;
      if (unit == 0 && *text != '0') beyond = true;
      unit /= 10;
    }
  }
  if (!negative) {
    seconds = whole;
    nanoseconds = fraction;
    return true;
  }
  // POSIX rounds towards minus infinity: -1.5 is 0.5 after -2.
  if (beyond) fraction++;
  seconds = fraction == 0 ? -whole : -whole - 1;
  nanoseconds = fraction == 0 ? 0 : 1'000'000'000 - fraction;
  return true;
}

Reader::Reader(Source source) : source_(source) {
  if (source_.lend == nullptr) bytes_ = buffer_ = static_cast<char*>(malloc(kBuffer));
}

Reader::~Reader() {
  free(buffer_);
  free(pax_);
  free(global_pax_);
  free(chunks_);
}

bool Reader::fail(const char* why, int number) {
  error_ = why;
  errno_ = number;
  return false;
}

// Reads more when the buffer is empty; at the end of the stream it stays empty.
bool Reader::fill() {
  if (start_ < end_ || stream_end_) return true;
  if (source_.lend == nullptr && buffer_ == nullptr) return fail("there is no memory left", ENOMEM);
  start_ = end_ = 0;
  for (;;) {
    const ssize_t got = source_.lend != nullptr ? lend() : source_.read(source_.context, buffer_, kBuffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail("the archive cannot be read", errno);
    if (got == 0) stream_end_ = true;
    end_ = static_cast<size_t>(got);
    return true;
  }
}

ssize_t Reader::lend() {
  const void* lent = nullptr;
  const ssize_t got = source_.lend(source_.context, &lent);
  bytes_ = static_cast<const char*>(lent);
  return got;
}

// All of `size` bytes, or none and `at_end`.
bool Reader::take(void* to, size_t size, bool& at_end) {
  size_t done = 0;
  if (!gather(to, size, done)) return false;
  at_end = done == 0 && size > 0;
  return done == size || done == 0 || fail("the archive is cut short");
}

// As much of `size` bytes as the stream has.
bool Reader::gather(void* to, size_t size, size_t& done) {
  char* out = static_cast<char*>(to);
  done = 0;
  while (done < size) {
    if (!fill()) return false;
    if (start_ == end_) return true;
    const size_t part = size - done < end_ - start_ ? size - done : end_ - start_;
    memcpy(out + done, bytes_ + start_, part);
    start_ += part;
    position_ += part;
    done += part;
  }
  return true;
}

// The stream begins with `size` bytes that are no header. Fails with the name of what it is, if it has one; else with
// `otherwise`, or when that is null not at all.
bool Reader::not_a_tar(const Header& start, size_t size, const char* otherwise) {
  auto* const bytes = static_cast<char*>(malloc(foreign::kLook));
  if (bytes == nullptr) return fail("there is no memory left", ENOMEM);
  memcpy(bytes, start.bytes, size);
  size_t more = 0;
  const bool read = gather(bytes + size, foreign::kLook - size, more);
  const char* const what = foreign::recognise(reinterpret_cast<uint8_t*>(bytes), size + more);
  free(bytes);
  if (!read) return false;
  if (what != nullptr) return fail(what);
  return otherwise == nullptr || fail(otherwise);
}

bool Reader::skip(uint64_t size) {
  while (size > 0) {
    if (start_ == end_ && source_.skip != nullptr) {
      if (!source_.skip(source_.context, size)) return fail("the archive is cut short");
      position_ += size;
      return true;
    }
    if (!fill()) return false;
    if (start_ == end_) return fail("the archive is cut short");
    const uint64_t part = size < end_ - start_ ? size : end_ - start_;
    start_ += part;
    position_ += part;
    size -= part;
  }
  return true;
}

// Reads the data of a header that describes the next one into `text`, which grows, with a NUL after it.
bool Reader::read_text(uint64_t size, size_t limit, char*& text) {
  if (size > limit) return fail("a header of the archive is too long");
  const auto length = static_cast<size_t>(size);
  char* const grown = static_cast<char*>(realloc(text, length + 1));
  if (grown == nullptr) return fail("there is no memory left", ENOMEM);
  text = grown;
  bool at_end = false;
  if (!take(text, length, at_end)) return false;
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
  char*& text = global ? global_pax_ : pax_;
  if (!global) entry_.xattr_count = 0;
  if (!read_text(size, kMaxPax, text)) return false;
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
    // One that is none leaves the entry the time of its own header.
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

bool Reader::add_chunk(uint64_t offset, uint64_t size) {
  if (chunk_count_ == chunk_room_) {
    if (chunk_room_ == kMaxChunks) return fail("a sparse file has too many parts");
    const size_t room = chunk_room_ == 0 ? 64 : chunk_room_ * 2;
    auto* const grown = static_cast<Chunk*>(realloc(chunks_, room * sizeof(Chunk)));
    if (grown == nullptr) return fail("there is no memory left", ENOMEM);
    chunks_ = grown;
    chunk_room_ = room;
  }
  chunks_[chunk_count_++] = {offset, size};
  return true;
}

// The map in the header, 4 parts, and in blocks of 21 after it.
bool Reader::old_sparse(const Header& header) {
  int64_t real;
  if (!parse_number(header.real_size(), 12, real) || real < 0) return fail("the size of a sparse file is malformed");
  entry_.size = static_cast<uint64_t>(real);
  sparse_ = true;
  Header block = header;
  const char* at = header.sparse();
  size_t count = 4;
  bool more = header.extended() != 0;
  for (;;) {
    for (size_t i = 0; i < count && at[i * 24] != 0; i++) {
      int64_t from, much;
      if (!parse_number(at + i * 24, 12, from) || !parse_number(at + i * 24 + 12, 12, much) || from < 0 || much < 0) {
        return fail("the map of a sparse file is malformed");
      }
      if (!add_chunk(static_cast<uint64_t>(from), static_cast<uint64_t>(much))) return false;
    }
    if (!more) return true;
    bool at_end;
    if (!take(block.bytes, kBlock, at_end)) return false;
    if (at_end) return fail("the archive is cut short");
    at = block.bytes;
    count = 21;
    more = block.bytes[504] != 0;
  }
}

// The map as decimal lines at the start of the data: how many parts, then offset and size of each; padded to a block.
bool Reader::sparse_1_0() {
  uint64_t read = 0, count = 0, from = 0;
  for (uint64_t line = 0; line == 0 || line <= count * 2; line++) {
    char text[24];
    size_t length = 0;
    for (;;) {
      if (read == stored_) return fail("the map of a sparse file is malformed");
      bool at_end;
      char byte;
      if (!take(&byte, 1, at_end)) return false;
      if (at_end) return fail("the archive is cut short");
      read++;
      if (byte == '\n') break;
      if (length == sizeof text - 1) return fail("the map of a sparse file is malformed");
      text[length++] = byte;
    }
    text[length] = 0;
    uint64_t number;
    if (!parse_decimal(text, kMaxSize, number)) return fail("the map of a sparse file is malformed");
    if (line == 0) {
      if (number > kMaxChunks) return fail("a sparse file has too many parts");
      count = number;
    } else if (line % 2 == 1) {
      from = number;
    } else if (!add_chunk(from, number)) {
      return false;
    }
  }
  const uint64_t pad = padding_of(read);
  if (pad > stored_ - read) return fail("the map of a sparse file is malformed");
  stored_ -= read + pad;
  return skip(pad);
}

// In order, without overlap, inside the file, and as much as is stored.
bool Reader::check_chunks() {
  uint64_t at = 0, total = 0;
  for (size_t i = 0; i < chunk_count_; i++) {
    const Chunk& chunk = chunks_[i];
    if (chunk.offset < at || chunk.offset > entry_.size || chunk.size > entry_.size - chunk.offset) {
      return fail("the map of a sparse file is malformed");
    }
    at = chunk.offset + chunk.size;
    total += chunk.size;
  }
  if (total != stored_) return fail("the map of a sparse file is malformed");
  return true;
}

Reader::Step Reader::next() {
  if (error_ != nullptr) return Step::kError;
  if (!skip(stored_) || !skip(padding_)) return Step::kError;
  stored_ = padding_ = 0;
  entry_.path[0] = entry_.link[0] = 0;
  entry_.xattr_count = 0;
  entry_.type = Type::kUnknown;
  entry_.mtime_ns = entry_.major = entry_.minor = 0;
  chunk_count_ = 0;
  sparse_ = false;

  Overrides local;
  bool long_path = false, long_link = false, extended = false, described = false;
  for (int headers = 0;; headers++) {
    Header header;
    size_t got = 0;
    if (!gather(header.bytes, kBlock, got)) return Step::kError;
    // Before the end mark, what describes an entry that does not come describes nothing; without one, the entry may
    // have been cut off.
    if (got == 0 && described) {
      return fail("the archive ends after a header that describes a further entry"), Step::kError;
    }
    if (got == 0) return Step::kEnd;
    if (got < kBlock) {
      if (any_ || not_a_tar(header, got, "the archive is cut short")) fail("the archive is cut short");
      return Step::kError;
    }
    // Images of disks and of file systems begin with zeroes, too.
    if (header.empty()) return any_ || not_a_tar(header, got, nullptr) ? Step::kEnd : Step::kError;
    if (!header.checksum_matches()) {
      if (!any_) return not_a_tar(header, got, "this is not a tar archive"), Step::kError;
      return fail("the checksum of a header does not match: the archive is damaged"), Step::kError;
    }
    any_ = true;
    int64_t size;
    const char type = header.type();
    if (type == 'x' || type == 'X' || type == 'g' || type == 'L' || type == 'K') {
      if (headers == kMaxMetaHeaders) return fail("too many headers describe one entry"), Step::kError;
      if (!parse_number(header.size(), 12, size) || size < 0) return fail("a size is malformed"), Step::kError;
      const auto length = static_cast<uint64_t>(size);
      described |= type != 'g';
      bool ok;
      if (type == 'L') {
        ok = read_long(length, long_path_);
        long_path = true;
      } else if (type == 'K') {
        ok = read_long(length, long_link_);
        long_link = true;
      } else if (type == 'g') {
        Overrides global;
        ok = parse_pax(length, global, true);
        if (global.mtime)
          has_global_mtime_ = true, global_mtime_ = global.mtime_value, global_mtime_ns_ = global.mtime_ns;
        if ((global.uid && global.uid_value > kMaxId) || (global.gid && global.gid_value > kMaxId)) {
          return fail("the owner's number is too large"), Step::kError;
        }
        if (global.uid) has_global_uid_ = true, global_uid_ = static_cast<uint32_t>(global.uid_value);
        if (global.gid) has_global_gid_ = true, global_gid_ = static_cast<uint32_t>(global.gid_value);
      } else {
        // Of several, the last one describes the entry, and nothing of those before it.
        if (extended) local = Overrides();
        chunk_count_ = 0;
        extended = true;
        ok = parse_pax(length, local, false);
      }
      if (!ok) return Step::kError;
      continue;
    }
    return parse_entry(header, local, long_path, long_link) ? Step::kEntry : Step::kError;
  }
}

bool Reader::parse_entry(const Header& header, Overrides& local, bool long_path, bool long_link) {
  // Names first, so that every later error can say which entry it is about. A pax record stands above GNU's long name.
  if (!local.path && long_path) {
    memcpy(entry_.path, long_path_, kMaxPath);
  } else if (!local.path) {
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
  if (!local.link && long_link) {
    memcpy(entry_.link, long_link_, kMaxPath);
  } else if (!local.link) {
    const size_t length = strnlen(header.link(), 100);
    memcpy(entry_.link, header.link(), length);
    entry_.link[length] = 0;
  }

  int64_t number;
  const auto id = [&](const char* field, bool has, uint64_t own, bool has_global, uint32_t global, uint32_t& out) {
    uint64_t value = own;
    if (!has) {
      if (has_global) {
        value = global;
      } else if (!parse_number(field, 8, number) || number < 0) {
        return fail("the owner's number is malformed");
      } else {
        value = static_cast<uint64_t>(number);
      }
    }
    if (value > kMaxId) return fail("the owner's number is too large");
    out = static_cast<uint32_t>(value);
    return true;
  };
  if (!id(header.uid(), local.uid, local.uid_value, has_global_uid_, global_uid_, entry_.uid)) return false;
  if (!id(header.gid(), local.gid, local.gid_value, has_global_gid_, global_gid_, entry_.gid)) return false;
  if (!parse_number(header.mode(), 8, number) || number < 0) return fail("the mode is malformed");
  entry_.mode = static_cast<uint32_t>(number & 07777);

  if (local.mtime) {
    entry_.mtime = local.mtime_value;
    entry_.mtime_ns = local.mtime_ns;
  } else if (has_global_mtime_) {
    entry_.mtime = global_mtime_;
    entry_.mtime_ns = global_mtime_ns_;
  } else if (!parse_number(header.mtime(), 12, entry_.mtime)) {
    return fail("the time is malformed");
  }

  uint64_t size = local.size_value;
  if (!local.size) {
    if (!parse_number(header.size(), 12, number) || number < 0) return fail("the size is malformed or 2^63 and more");
    size = static_cast<uint64_t>(number);
  }

  const char type = header.type();
  const size_t length = strlen(entry_.path);
  switch (type) {
    case 0:
    case '0':
    case '7':
    case 'S':
      // Unix V7 had no type for directories, only a slash.
      entry_.type = type != 'S' && length > 0 && entry_.path[length - 1] == '/' ? Type::kDirectory : Type::kFile;
      break;
    case '1':
      entry_.type = Type::kHardLink;
      break;
    case '2':
      entry_.type = Type::kSymlink;
      break;
    case '3':
    case '4': {
      entry_.type = type == '3' ? Type::kCharacter : Type::kBlock;
      int64_t major, minor;
      if (!parse_number(header.major(), 8, major) || !parse_number(header.minor(), 8, minor) || major < 0 ||
          minor < 0 || major > 0xfff || minor > 0xfffff) {
        return fail("the device number is malformed");
      }
      entry_.major = static_cast<uint32_t>(major);
      entry_.minor = static_cast<uint32_t>(minor);
      break;
    }
    case '5':
    case 'D':  // GNU's folder of an incremental archive, which has the names in it as its data
      entry_.type = Type::kDirectory;
      break;
    case '6':
      entry_.type = Type::kFifo;
      break;
    case 'M':
      return fail("the archive is a part of several volumes");
    default:
      break;
  }

  // Writers put there what stat(2) said of a folder or a link, or the size of the file that a hard link leads to. None
  // of them has data; a reader that skipped some would take other members for the next ones.
  const bool has_data = entry_.type == Type::kFile || entry_.type == Type::kUnknown || type == 'D';
  if (!has_data) size = 0;
  stored_ = size;
  padding_ = padding_of(size);
  entry_.size = entry_.type == Type::kFile ? size : 0;
  if (entry_.type != Type::kFile) return true;
  if (type == 'S') {
    if (!old_sparse(header)) return false;
  } else if (local.sparse) {
    sparse_ = true;
    if (!local.has_real_size) return fail("the size of a sparse file is missing");
    entry_.size = local.real_size;
    if (local.sparse_major == 1 && local.sparse_minor == 0) {
      if (chunk_count_ > 0) return fail("the map of a sparse file is malformed");
      if (!sparse_1_0()) return false;
    } else if (local.sparse_major != 0) {
      return fail("the format of a sparse file is unknown");
    }
  } else {
    return true;
  }
  return check_chunks();
}

bool Reader::drain() {
  while (!stream_end_) {
    start_ = end_;
    if (!fill()) return false;
  }
  return true;
}

}  // namespace boxctl::tar
