#include "describe.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "erofs.h"

namespace boxctl::image {

namespace {

// More kinds of machines than an image has programs for.
constexpr size_t kMaxMachines = 16;
constexpr size_t kHeadSize = 20;

// e_machine of a program or a library; 0 for anything else. Those of big-endian machines have a bit more (kBigEndian).
uint32_t machine_of(int fd, uint64_t at) {
  uint8_t head[kHeadSize];
  if (pread(fd, head, sizeof head, static_cast<off_t>(at)) != static_cast<ssize_t>(sizeof head)) return 0;
  if (memcmp(head, ELFMAG, SELFMAG) != 0) return 0;
  const bool big = head[EI_DATA] == ELFDATA2MSB;
  const auto field = [&](size_t from) -> uint32_t {
    return big ? static_cast<uint32_t>(head[from] << 8 | head[from + 1])
               : static_cast<uint32_t>(head[from + 1] << 8 | head[from]);
  };
  const uint32_t type = field(16);
  if (type != ET_EXEC && type != ET_DYN) return 0;
  return field(18) | (big ? kBigEndian : 0);
}

}  // namespace

Description describe(int fd, uint64_t offset, uint64_t size) {
  Description found;
  HeaderSource source(fd, offset, size);
  tar::Reader reader(source.source());
  struct {
    uint32_t machine;
    uint64_t count;
  } machines[kMaxMachines] = {};
  bool any = false;
  int64_t newest = 0;
  for (;;) {
    const tar::Reader::Step step = reader.next();
    if (step == tar::Reader::Step::kEnd) break;
    const tar::Entry& entry = reader.entry();
    if (step == tar::Reader::Step::kError) {
      found.failure = reader.failure();
      memcpy(found.entry, entry.path, sizeof found.entry);
      return found;
    }
    if (!any || entry.mtime > newest) newest = entry.mtime;
    any = true;
    if (entry.type != tar::Type::kFile || reader.sparse() || reader.stored_size() < kHeadSize) continue;
    const uint32_t machine = machine_of(fd, offset + reader.data_offset());
    for (auto& known : machines) {
      if (machine == 0 || (known.machine != machine && known.machine != 0)) continue;
      known.machine = machine;
      known.count++;
      break;
    }
  }
  uint64_t most = 0;
  for (const auto& known : machines) {
    if (known.count <= most) continue;
    most = known.count;
    found.machine = known.machine;
  }
  if (any) snprintf(found.newest, sizeof found.newest, "%lld", 0LL + newest);
  return found;
}

}  // namespace boxctl::image
