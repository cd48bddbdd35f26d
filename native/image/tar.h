// Reads an uncompressed tar stream as hostile input: entry by entry, with bounded memory, errors as values. It only
// tells what the archive says. Whether that may be done is decided by unpack.cc and scan.cc.
//
// Understood: ustar (POSIX.1-1988), pax extended headers (POSIX.1-2001), GNU long names, GNU sparse files (the old
// format and pax 0.0, 0.1, 1.0), base-256 numbers, and the format of Unix V7.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shared/failure.h"
#include "../shared/list.h"
#include "source.h"

namespace boxctl::tar {

// Longest path or link target, in bytes with its end (PATH_MAX of the kernel).
inline constexpr size_t kMaxPath = 4096;
// Largest pax header, in bytes: room for the extended attributes of one file.
inline constexpr size_t kMaxPax = 1 << 20;
inline constexpr size_t kMaxXattrs = 128;
inline constexpr size_t kMaxChunks = 1 << 16;
// Uids and gids above this do not exist: 2^32-1 means "unchanged" to chown(2).
inline constexpr uint64_t kMaxId = 0xfffffffe;

enum class Type { kFile, kHardLink, kSymlink, kCharacter, kBlock, kDirectory, kFifo, kUnknown };

struct Xattr {
  const char* name;
  const char* value;
  size_t size;
};

// A part of a sparse file that is not a hole.
struct Chunk {
  uint64_t offset;
  uint64_t size;
};

struct Entry {
  Type type = Type::kUnknown;
  char path[kMaxPath] = {};
  char link[kMaxPath] = {};
  uint64_t size = 0;  // of the file when it is unpacked, holes included
  uint32_t mode = 0;  // permission and set-id bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;  // seconds
  uint32_t mtime_ns = 0;
  uint32_t major = 0;
  uint32_t minor = 0;
  Xattr xattrs[kMaxXattrs];  // xattr_count of them; they live until the next call of next()
  size_t xattr_count = 0;
};

class Reader {
 public:
  explicit Reader(Source source);
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  enum class Step { kEntry, kEnd, kError };
  // Goes to the next entry, past what is left of the present one's data.
  Step next();
  const Entry& entry() const { return entry_; }

  // Where in the stream the data of the entry begins, and how much there is. Of a sparse file only its parts are
  // stored, one after the other; any other is one part.
  uint64_t data_offset() const { return position_; }
  uint64_t stored_size() const { return stored_; }
  bool sparse() const { return sparse_; }
  const Chunk* chunks(size_t& count) const {
    count = chunks_.size();
    return chunks_.begin();
  }

  // Reads on to the end of the stream, so that its writer is not cut off. What comes after the end mark is ignored.
  bool drain();

  // After kError or false.
  const Failure& failure() const { return failure_; }

 private:
  struct Header;
  struct Overrides;
  struct Preceding;

  bool fail(const char* why, int number = 0);
  bool fill();
  ssize_t lend();
  bool take(void* to, size_t size, bool& at_end);
  bool gather(void* to, size_t size, size_t& done);
  bool not_a_tar(const Header& start, size_t size, const char* otherwise);
  bool skip(uint64_t size);
  bool read_header(Header& header, const Preceding& preceding, bool& end);
  bool read_description(const Header& header, Preceding& preceding);
  bool read_global(uint64_t size);
  bool read_text(uint64_t size, size_t limit, List<char>& text);
  bool read_long(uint64_t size, char* out);
  bool parse_pax(uint64_t size, Overrides& overrides, bool global);
  bool pax_record(char* key, char* value, size_t size, Overrides& overrides, bool global);
  bool parse_entry(const Header& header, const Preceding& preceding);
  void parse_names(const Header& header, const Preceding& preceding);
  bool parse_id(const char* field, bool has, uint64_t own, bool has_global, uint32_t global, uint32_t& id);
  bool parse_type(const Header& header);
  bool parse_device(const Header& header);
  bool add_chunk(uint64_t offset, uint64_t size);
  bool old_sparse(const Header& header);
  bool pax_sparse(const Overrides& pax);
  bool sparse_1_0();
  bool check_chunks();

  Source source_;
  Entry entry_;
  Failure failure_;

  List<char> buffer_;            // empty where bytes are lent
  const char* bytes_ = nullptr;  // what has been read, or lent, from start_ to end_
  size_t start_ = 0;
  size_t end_ = 0;
  bool stream_end_ = false;
  bool any_ = false;
  uint64_t position_ = 0;  // bytes taken from the stream

  uint64_t stored_ = 0;   // bytes of data still to come from the stream
  uint64_t padding_ = 0;  // and the zeroes after them

  List<char> pax_;  // the extended header; the xattrs of the entry point into it
  List<char> global_pax_;
  char long_path_[kMaxPath] = {}, long_link_[kMaxPath] = {};  // GNU's names for the entry that comes next
  List<Chunk> chunks_;
  bool sparse_ = false;

  bool has_global_mtime_ = false, has_global_uid_ = false, has_global_gid_ = false;
  int64_t global_mtime_ = 0;
  uint32_t global_mtime_ns_ = 0, global_uid_ = 0, global_gid_ = 0;
};

// The fields of a header and of a pax record as numbers. False: it is not a number. What follows a time's number is
// ignored, as GNU tar and bsdtar do.
bool parse_number(const char* field, size_t size, int64_t& value);
bool parse_decimal(const char* text, uint64_t limit, uint64_t& value);
bool parse_time(const char* text, int64_t& seconds, uint32_t& nanoseconds);

}  // namespace boxctl::tar
