// The maps of sparse files in a tar archive: which parts are stored, in GNU's four formats. Those of pax 0.0 and 0.1
// are records of an extended header (tar_pax.cc).
#include <errno.h>

#include "tar_header.h"

namespace boxctl::tar {

bool Reader::add_chunk(uint64_t offset, uint64_t size) {
  if (chunks_.size() == kMaxChunks) return fail("a sparse file has too many parts");
  return chunks_.add({offset, size}) || fail(kNoMemory, ENOMEM);
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

// A sparse file that an extended header describes.
bool Reader::pax_sparse(const Overrides& pax) {
  sparse_ = true;
  if (!pax.has_real_size) return fail("the size of a sparse file is missing");
  entry_.size = pax.real_size;
  if (pax.sparse_major == 0) return true;
  if (pax.sparse_major != 1 || pax.sparse_minor != 0) return fail("the format of a sparse file is unknown");
  if (chunks_.size() > 0) return fail("the map of a sparse file is malformed");
  return sparse_1_0();
}

// In order, without overlap, inside the file, and as much as is stored.
bool Reader::check_chunks() {
  uint64_t at = 0, total = 0;
  for (const Chunk& chunk : chunks_) {
    if (chunk.offset < at || chunk.offset > entry_.size || chunk.size > entry_.size - chunk.offset) {
      return fail("the map of a sparse file is malformed");
    }
    at = chunk.offset + chunk.size;
    total += chunk.size;
  }
  if (total != stored_) return fail("the map of a sparse file is malformed");
  return true;
}

}  // namespace boxctl::tar
