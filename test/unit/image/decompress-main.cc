// The decoder as a program of its own, an archive on its standard input:
//   decompress-main stream [IN [OUT]]  gives out the content, read and asked for in pieces of so many bytes; says the
//                                      format, and what is wrong, on standard error, and exits with 1 then
//   decompress-main beginnings         tries each beginning of the archive
//   decompress-main flips              tries the archive with each one of its bits flipped
//   decompress-main crc32              writes the CRC-32 of the input, when it is the same by each way to compute it
// "beginnings" and "flips" write a line for each trial: "FORMAT same", "FORMAT other" (content, that is) or "FORMAT:
// ERROR".
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "../../../native/codec/crc32.h"
#include "../../../native/image/decompress.h"

namespace {

using boxctl::codec::crc32;
using boxctl::codec::crc32_portable;
using boxctl::image::Decoder;

ssize_t read_input(void* piece, void* buffer, size_t size) {
  const size_t limit = *static_cast<size_t*>(piece);
  return read(0, buffer, size < limit ? size : limit);
}

int stream(size_t in, size_t out) {
  Decoder decoder({read_input, &in});
  std::string buffer(out, 0);
  ssize_t got;
  while ((got = decoder.read(buffer.data(), out)) > 0) {
    for (ssize_t done = 0; done < got;) {
      const ssize_t written = write(1, buffer.data() + done, static_cast<size_t>(got - done));
      if (written < 0) return 2;
      done += written;
    }
  }
  const int number = got < 0 ? errno : 0;
  // The end stays the end, and a failure stays the same failure.
  if (decoder.read(buffer.data(), out) != got || (got < 0 && errno != number)) return 3;
  fprintf(stderr, "%s\n", name(decoder.compression()));
  if (got < 0) fprintf(stderr, "%s\n", decoder.failure().sentence);
  return got < 0 ? 1 : 0;
}

ssize_t read_memory(void* context, void* buffer, size_t size) {
  auto* const bytes = static_cast<std::string_view*>(context);
  const size_t part = size < bytes->size() ? size : bytes->size();
  memcpy(buffer, bytes->data(), part);
  bytes->remove_prefix(part);
  return static_cast<ssize_t>(part);
}

// In memory of its own, so that a sanitizer sees what is read behind it. Returns the line to write.
std::string outcome(const std::string& archive, std::string& content) {
  std::string_view bytes = archive;
  Decoder decoder({read_memory, &bytes});
  content.clear();
  char buffer[4096];
  ssize_t got;
  while ((got = decoder.read(buffer, sizeof buffer)) > 0) content.append(buffer, static_cast<size_t>(got));
  const std::string format = name(decoder.compression());
  return got < 0 ? format + ": " + decoder.failure().sentence : format;
}

void trial(const std::string& archive, const std::string& expected) {
  std::string content;
  std::string line = outcome(archive, content);
  if (line.find(':') == std::string::npos) line += content == expected ? " same" : " other";
  puts(line.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "stream") {
    return stream(argc > 2 ? strtoul(argv[2], nullptr, 10) : SIZE_MAX,
                  argc > 3 ? strtoul(argv[3], nullptr, 10) : 256 * 1024);
  }
  std::string archive, expected;
  char buffer[4096];
  ssize_t got;
  while ((got = read(0, buffer, sizeof buffer)) > 0) archive.append(buffer, static_cast<size_t>(got));
  if (what == "crc32") {
    // From each place in a word, to each length that is not a multiple of what is taken at once.
    const size_t all = archive.size();
    for (size_t start = 0; start < 16 && start < all; start++) {
      for (size_t size = 0; size < 400 && size <= all - start; size++) {
        const auto crc = static_cast<uint32_t>(size * 0x9e3779b9);
        const char* const data = archive.data() + start;
        if (crc32(crc, data, size) != crc32_portable(crc, data, size)) return 1;
      }
    }
    if (crc32(0, archive.data(), all) != crc32_portable(0, archive.data(), all)) return 1;
    printf("%u\n", crc32(0, archive.data(), all));
    return 0;
  }
  outcome(archive, expected);
  if (what == "beginnings") {
    for (size_t size = 0; size <= archive.size(); size++) trial(std::string(archive, 0, size), expected);
  } else if (what == "flips") {
    for (size_t at = 0; at < archive.size() * 8; at++) {
      archive[at / 8] ^= static_cast<char>(1 << at % 8);
      trial(archive, expected);
      archive[at / 8] ^= static_cast<char>(1 << at % 8);
    }
  } else {
    return 2;
  }
  return 0;
}
