// Bytes and texts. In the plainest way: what the launcher compares, searches and copies is short. Without <string.h>,
// which declares the functions that search twice in C++: for a text that may be changed, and for one that may not. Here
// each is the one function that C has.
#include <stddef.h>
#include <stdint.h>

#if !defined(__clang__)
// Otherwise gcc makes a call of memcpy out of memcpy's own loop. clang does so unless it is told -fno-builtin.
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

extern "C" {

// Eight bytes at a time, and the rest.
void* memcpy(void* to, const void* from, size_t size) noexcept {
  auto* out = static_cast<char*>(to);
  const auto* in = static_cast<const char*>(from);
  for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
    uint64_t word;
    __builtin_memcpy(&word, in, sizeof word);
    __builtin_memcpy(out, &word, sizeof word);
    in += sizeof word;
    out += sizeof word;
  }
  while (size-- > 0) *out++ = *in++;
  return to;
}

void* memmove(void* to, const void* from, size_t size) noexcept {
  auto* const out = static_cast<char*>(to);
  const auto* const in = static_cast<const char*>(from);
  // memcpy reads each word before it writes it, so it may write to what lies before.
  if (reinterpret_cast<uintptr_t>(out) <= reinterpret_cast<uintptr_t>(in)) return memcpy(to, from, size);
  while (size-- > 0) out[size] = in[size];
  return to;
}

void* memset(void* to, int byte, size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  const auto filler = static_cast<unsigned char>(byte);
  const uint64_t word = filler * 0x0101'0101'0101'0101ULL;
  for (; size >= sizeof word; size -= sizeof word) {
    __builtin_memcpy(out, &word, sizeof word);
    out += sizeof word;
  }
  while (size-- > 0) *out++ = filler;
  return to;
}

int memcmp(const void* one, const void* other, size_t size) noexcept {
  const auto* a = static_cast<const unsigned char*>(one);
  const auto* b = static_cast<const unsigned char*>(other);
  for (size_t i = 0; i < size; i++) {
    if (a[i] != b[i]) return a[i] - b[i];
  }
  return 0;
}

size_t strlen(const char* text) noexcept {
  size_t size = 0;
  while (text[size] != '\0') size++;
  return size;
}

int strncmp(const char* one, const char* other, size_t size) noexcept {
  for (size_t i = 0; i < size; i++) {
    if (one[i] != other[i]) return static_cast<unsigned char>(one[i]) - static_cast<unsigned char>(other[i]);
    if (one[i] == '\0') return 0;
  }
  return 0;
}
int strcmp(const char* one, const char* other) noexcept { return strncmp(one, other, SIZE_MAX); }

void* memchr(const void* memory, int byte, size_t size) noexcept {
  const auto* const bytes = static_cast<const unsigned char*>(memory);
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] == static_cast<unsigned char>(byte)) return const_cast<unsigned char*>(bytes + i);
  }
  return nullptr;
}

void* memrchr(const void* memory, int byte, size_t size) noexcept {
  const auto* const bytes = static_cast<const unsigned char*>(memory);
  while (size-- > 0) {
    if (bytes[size] == static_cast<unsigned char>(byte)) return const_cast<unsigned char*>(bytes + size);
  }
  return nullptr;
}

// The NUL at the end can be searched for, too.
char* strchr(const char* text, int character) noexcept {
  for (;; text++) {
    if (*text == static_cast<char>(character)) return const_cast<char*>(text);
    if (*text == '\0') return nullptr;
  }
}

char* strrchr(const char* text, int character) noexcept {
  return static_cast<char*>(memrchr(text, character, strlen(text) + 1));
}

char* strstr(const char* text, const char* part) noexcept {
  const size_t size = strlen(part);
  for (;; text++) {
    if (strncmp(text, part, size) == 0) return const_cast<char*>(text);
    if (*text == '\0') return nullptr;
  }
}

size_t strspn(const char* text, const char* accepted) noexcept {
  size_t size = 0;
  while (text[size] != '\0' && strchr(accepted, text[size]) != nullptr) size++;
  return size;
}
size_t strcspn(const char* text, const char* refused) noexcept {
  size_t size = 0;
  while (text[size] != '\0' && strchr(refused, text[size]) == nullptr) size++;
  return size;
}

}  // extern "C"
