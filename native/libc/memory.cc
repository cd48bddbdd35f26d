// Memory. Small pieces lie in an area of the program's own zeroed memory, of which the kernel allocates the pages that
// are touched. A piece has the size of a power of two, and is used again for another one of that size. Large pieces,
// and all when the area is full, are mappings of their own, which go back to the kernel when they are freed.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "raw.h"

namespace {

// Before each piece.
struct alignas(16) Header {
  size_t room;   // bytes, this header included
  Header* next;  // of the free pieces of the same size
};

constexpr size_t kSmallest = 32;
constexpr size_t kLargest = 16384;
constexpr size_t kSizes = 10;
static_assert(kSmallest << (kSizes - 1) == kLargest);
constexpr size_t kPage = 4096;

alignas(16) char area[128 * 1024];
size_t used = 0;
Header* free_pieces[kSizes];

bool is_in_area(const Header* piece) {
  const auto at = reinterpret_cast<uintptr_t>(piece);
  return at >= reinterpret_cast<uintptr_t>(area) && at < reinterpret_cast<uintptr_t>(area + sizeof area);
}

Header* header_of(void* memory) { return static_cast<Header*>(memory) - 1; }

// The number of the size that has room for so many bytes.
size_t size_class(size_t room) {
  size_t index = 0;
  while (kSmallest << index < room) index++;
  return index;
}

constexpr size_t in_pages(size_t size) { return (size + kPage - 1) / kPage * kPage; }

Header* map(size_t room) {
  const size_t size = in_pages(room);
  const long at =
      boxctl::libc::call(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == -1) return nullptr;
  auto* const piece = reinterpret_cast<Header*>(at);
  piece->room = size;
  return piece;
}

Header* allocate(size_t size) {
  if (size > PTRDIFF_MAX - 2 * kPage) {
    errno = ENOMEM;
    return nullptr;
  }
  const size_t room = size + sizeof(Header);
  if (room > kLargest) return map(room);
  const size_t index = size_class(room);
  if (Header* const piece = free_pieces[index]; piece != nullptr) {
    free_pieces[index] = piece->next;
    return piece;
  }
  const size_t whole = kSmallest << index;
  if (whole > sizeof area - used) return map(room);
  auto* const piece = reinterpret_cast<Header*>(area + used);
  used += whole;
  piece->room = whole;
  return piece;
}

}  // namespace

extern "C" {

void* malloc(size_t size) noexcept {
  Header* const piece = allocate(size);
  return piece == nullptr ? nullptr : piece + 1;
}

void* calloc(size_t count, size_t size) noexcept {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) bytes = SIZE_MAX;
  Header* const piece = allocate(bytes);
  if (piece == nullptr) return nullptr;
  // A new mapping is zeroed.
  if (is_in_area(piece)) memset(piece + 1, 0, bytes);
  return piece + 1;
}

void free(void* memory) noexcept {
  if (memory == nullptr) return;
  Header* const piece = header_of(memory);
  if (!is_in_area(piece)) {
    boxctl::libc::raw(SYS_munmap, piece, piece->room);
    return;
  }
  Header*& first = free_pieces[size_class(piece->room)];
  piece->next = first;
  first = piece;
}

void* realloc(void* memory, size_t size) noexcept {
  if (memory == nullptr) return malloc(size);
  Header* const piece = header_of(memory);
  const size_t had = piece->room - sizeof(Header);
  if (size <= had) return memory;
  void* const grown = malloc(size);
  if (grown == nullptr) return nullptr;
  memcpy(grown, memory, had);
  free(memory);
  return grown;
}

}  // extern "C"
