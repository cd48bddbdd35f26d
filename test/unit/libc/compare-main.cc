// The functions of native/libc beside those of the system, on random input and on the edges. Prints each difference.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>
#include <type_traits>

// From here on the names of the library's functions have a prefix.
#define memcpy own_memcpy
#define memmove own_memmove
#define memset own_memset
#define memcmp own_memcmp
#define memchr own_memchr
#define memrchr own_memrchr
#define strlen own_strlen
#define strcmp own_strcmp
#define strncmp own_strncmp
#define strchr own_strchr
#define strrchr own_strrchr
#define strstr own_strstr
#define strspn own_strspn
#define strcspn own_strcspn
#define strtol own_strtol
#define strtoul own_strtoul
#define strtoull own_strtoull
#define inet_pton own_inet_pton
#define malloc own_malloc
#define calloc own_calloc
#define realloc own_realloc
#define free own_free
#define snprintf own_snprintf
#define sigemptyset own_sigemptyset
#define sigfillset own_sigfillset
#define sigaddset own_sigaddset
#define sigdelset own_sigdelset
#define sigprocmask own_sigprocmask
#define sigwaitinfo own_sigwaitinfo
#define signalfd own_signalfd
#define kill own_kill
#define pause own_pause
#undef gnu_dev_major
#undef gnu_dev_minor
#undef gnu_dev_makedev
#define gnu_dev_major own_gnu_dev_major
#define gnu_dev_minor own_gnu_dev_minor
#define gnu_dev_makedev own_gnu_dev_makedev
#define __cmsg_nxthdr own_cmsg_nxthdr
#define tcgetattr own_tcgetattr
#define tcsetattr own_tcsetattr
#define cfmakeraw own_cfmakeraw
#define tcgetpgrp own_tcgetpgrp
#define fdopendir own_fdopendir
#define readdir own_readdir
#define rewinddir own_rewinddir
#define dirfd own_dirfd
#define closedir own_closedir
#define clock_gettime own_clock_gettime

#include "../../../native/libc/include/stdio.h"
//
#include "../../../native/libc/strings.cc"
// After it, since it has what these declare to be used.
extern "C" {
void* own_malloc(size_t size) noexcept;
void own_free(void* memory) noexcept;
}
#include "../../../native/libc/clock.cc"
#include "../../../native/libc/directory.cc"
#include "../../../native/libc/format.cc"
#include "../../../native/libc/macros.cc"
#include "../../../native/libc/memory.cc"
#include "../../../native/libc/numbers.cc"
#include "../../../native/libc/signals.cc"
#include "../../../native/libc/terminal.cc"

#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef memrchr
#undef strlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strstr
#undef strspn
#undef strcspn
#undef strtol
#undef strtoul
#undef strtoull
#undef inet_pton
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef snprintf
#undef sigemptyset
#undef sigfillset
#undef sigaddset
#undef sigdelset
#undef sigprocmask
#undef gnu_dev_major
#undef gnu_dev_minor
#undef gnu_dev_makedev
#undef __cmsg_nxthdr
#undef tcgetattr
#undef tcsetattr
#undef cfmakeraw
#undef fdopendir
#undef readdir
#undef rewinddir
#undef closedir
#undef clock_gettime

#include <sys/auxv.h>

// Only the program itself asks for what the kernel has left on its stack.
namespace boxctl::libc {
const Elf64_Ehdr* shared_program() { return reinterpret_cast<const Elf64_Ehdr*>(getauxval(AT_SYSINFO_EHDR)); }
}  // namespace boxctl::libc

namespace {

int differences = 0;

void same(bool equal, const char* what) {
  if (equal) return;
  differences++;
  if (differences < 20) printf("%s differs\n", what);
}

uint64_t state = 0x9e3779b97f4a7c15;
uint64_t draw() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
size_t below(size_t limit) { return static_cast<size_t>(draw() % limit); }
int sign(int value) { return (value > 0) - (value < 0); }

// A text of the heap, of exactly its size, so that a read past its end is seen by the sanitizer.
struct HeapText {
  explicit HeapText(const char* alphabet, size_t most) {
    const size_t size = below(most);
    text = static_cast<char*>(malloc(size + 1));
    for (size_t i = 0; i < size; i++) text[i] = alphabet[below(strlen(alphabet))];
    text[size] = '\0';
  }
  explicit HeapText(const char* from) : text(strdup(from)) {}
  ~HeapText() { free(text); }
  HeapText(const HeapText&) = delete;
  HeapText& operator=(const HeapText&) = delete;
  char* text;
};

void compare_memory() {
  for (int i = 0; i < 20'000; i++) {
    char one[200];
    char other[200];
    for (size_t b = 0; b < sizeof one; b++) one[b] = other[b] = static_cast<char>(draw());
    const size_t size = below(96);
    const size_t from = below(sizeof one - size);
    const size_t to = below(sizeof one - size);
    memmove(one + to, one + from, size);
    same(own_memmove(other + to, other + from, size) == other + to, "memmove's result");
    same(memcmp(one, other, sizeof one) == 0, "memmove");
    memset(one + to, static_cast<int>(from), size);
    same(own_memset(other + to, static_cast<int>(from), size) == other + to, "memset's result");
    same(memcmp(one, other, sizeof one) == 0, "memset");
    char copy[96];
    same(own_memcpy(copy, one + from, size) == copy && memcmp(copy, one + from, size) == 0, "memcpy");
    same(sign(memcmp(one + from, one + to, size)) == sign(own_memcmp(one + from, one + to, size)), "memcmp");
    const int byte = static_cast<int>(draw() % 256) - (i % 2 == 0 ? 0 : 256);
    same(memchr(one + from, byte, size) == own_memchr(one + from, byte, size), "memchr");
    same(memrchr(one + from, byte, size) == own_memrchr(one + from, byte, size), "memrchr");
  }
}

void compare_texts() {
  for (int i = 0; i < 20'000; i++) {
    const HeapText a("ab\xff.", 12);
    const HeapText b("ab\xff.", 4);
    const char character = "ab\xff.\0"[below(5)];
    const size_t size = below(14);
    same(strlen(a.text) == own_strlen(a.text), "strlen");
    same(sign(strcmp(a.text, b.text)) == sign(own_strcmp(a.text, b.text)), "strcmp");
    same(sign(strncmp(a.text, b.text, size)) == sign(own_strncmp(a.text, b.text, size)), "strncmp");
    same(strchr(a.text, character) == own_strchr(a.text, character), "strchr");
    same(strrchr(a.text, character) == own_strrchr(a.text, character), "strrchr");
    same(strstr(a.text, b.text) == own_strstr(a.text, b.text), "strstr");
    same(strspn(a.text, b.text) == own_strspn(a.text, b.text), "strspn");
    same(strcspn(a.text, b.text) == own_strcspn(a.text, b.text), "strcspn");
  }
}

template <typename Real, typename Own>
void compare_parser(const char* text, int base, Real real, Own own, const char* what) {
  char* end = nullptr;
  char* own_end = nullptr;
  errno = 0;
  const auto value = real(text, &end, base);
  const int error = errno == ERANGE ? ERANGE : 0;
  errno = 0;
  const auto own_value = own(text, &own_end, base);
  same(value == own_value && end == own_end && error == errno, what);
  same(own(text, nullptr, base) == own_value, what);
}

void compare_numbers() {
  const char* const edges[] = {
      "9223372036854775807",
      "9223372036854775808",
      "-9223372036854775808",
      "-9223372036854775809",
      "18446744073709551615",
      "18446744073709551616",
      "-18446744073709551615",
      "99999999999999999999999999",
      "0x",
      "0xg",
      "0x7fffffffffffffff",
      "-0x8000000000000000",
      "0",
      "-0",
      "+",
      "-",
      "",
      " \t\n\v\f\r7",
      "08",
      "0x08 9",
  };
  const auto compare = [](const char* from) {
    const HeapText text(from);
    for (const int base : {0, 8, 10, 16, 36}) {
      compare_parser(text.text, base, strtol, own_strtol, "strtol");
      compare_parser(text.text, base, strtoul, own_strtoul, "strtoul");
      compare_parser(text.text, base, strtoull, own_strtoull, "strtoull");
    }
  };
  for (const char* edge : edges) compare(edge);
  for (int i = 0; i < 20'000; i++) compare(HeapText("0123456789abfxX+- z", 24).text);
}

void compare_addresses() {
  const char* const edges[] = {
      "1.2.3.4",
      "0.0.0.0",
      "255.255.255.255",
      "256.1.1.1",
      "01.2.3.4",
      "1.2.3",
      "1.2.3.4.",
      "1.2.3.4 ",
      "1..3.4",
      "::",
      "::1",
      "1::",
      "1::2",
      ":1",
      "1:",
      ":::",
      "1:::2",
      "::1::",
      "1:2:3:4:5:6:7:8",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7::",
      "::2:3:4:5:6:7:8",
      "::1:2:3:4:5:6:7:8",
      "1:2:3:4:5:6:7:8::",
      "::ffff:1.2.3.4",
      "::1.2.3.4",
      "1:2:3:4:5:6:1.2.3.4",
      "1:2:3:4:5:6:7:1.2.3.4",
      "1:2:3:4:5::1.2.3.4",
      "::1.2.3.4:5",
      "::1.2.3.400",
      "12345::",
      "::12345",
      "g::",
      "fe80::1%lo",
      "FE80::aBcD",
      "",
      "1:2:3:4:5:6:7:",
      ":",
  };
  const auto compare = [](const char* from) {
    const HeapText text(from);
    for (const int family : {AF_INET, AF_INET6}) {
      uint8_t one[16] = {1, 2, 3};
      uint8_t other[16] = {1, 2, 3};
      const int result = inet_pton(family, text.text, one);
      if (result != own_inet_pton(family, text.text, other) || (result == 1 && memcmp(one, other, sizeof one) != 0)) {
        printf("inet_pton of %s\n", text.text);
        same(false, "inet_pton");
      }
    }
  };
  for (const char* edge : edges) compare(edge);
  for (int i = 0; i < 100'000; i++) compare(HeapText("1:.0f2", 22).text);
  uint8_t out[16];
  same(own_inet_pton(AF_UNIX, "1", out) == -1 && errno == EAFNOSUPPORT, "inet_pton of an unknown family");
}

#define COMPARE_FORMAT(...)                                                                              \
  do {                                                                                                   \
    for (size_t size = 0; size <= sizeof one; size++) {                                                  \
      memset(one, 'x', sizeof one);                                                                      \
      memset(other, 'x', sizeof other);                                                                  \
      const int length = snprintf(size == 0 ? nullptr : one, size, __VA_ARGS__);                         \
      same(own_snprintf(size == 0 ? nullptr : other, size, __VA_ARGS__) == length, "snprintf's result"); \
      same(memcmp(one, other, sizeof one) == 0, "snprintf");                                             \
    }                                                                                                    \
  } while (false)

#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wformat-zero-length"
void compare_formats() {
  char one[80];
  char other[80];
  COMPARE_FORMAT("");
  COMPARE_FORMAT("plain");
  for (const int number : {0, 7, -7, INT_MAX, INT_MIN}) COMPARE_FORMAT("/proc/%d/stat", number);
  for (const long number : {0L, LONG_MAX, LONG_MIN}) COMPARE_FORMAT("%ld", number);
  for (const long long number : {0LL, LLONG_MAX, LLONG_MIN}) COMPARE_FORMAT("<%lld>", number);
  for (const unsigned number : {0U, 255U, UINT_MAX}) COMPARE_FORMAT("%u %x %02x %08x", number, number, number, number);
  for (const unsigned long number : {0UL, ULONG_MAX}) COMPARE_FORMAT("%lu %lx", number, number);
  for (const unsigned long long number : {0ULL, ULLONG_MAX, 0xabcULL}) COMPARE_FORMAT("%012llx %llu", number, number);
  for (const int number : {5, -5, 123456}) COMPARE_FORMAT("%05d", number);
  for (const char* text : {"", "text", "a longer text that does not fit everywhere"}) {
    COMPARE_FORMAT("%s", text);
    COMPARE_FORMAT("%s/%s", text, "x");
    for (const int limit : {0, 1, 3, 100, -1}) COMPARE_FORMAT("[%.*s]", limit, text);
  }
  COMPARE_FORMAT("%cAUTH %c", '\0', 'x');
}

void compare_allocations() {
  // Many pieces at once, of all sizes, with what was written to them compared when they are freed or grow.
  struct Piece {
    unsigned char* at;
    size_t size;
    unsigned char filler;
  };
  Piece pieces[256] = {};
  const auto is_whole = [](const Piece& piece, size_t size) {
    for (size_t i = 0; i < size; i++) {
      if (piece.at[i] != piece.filler) return false;
    }
    return true;
  };
  for (int i = 0; i < 20'000; i++) {
    Piece& piece = pieces[below(256)];
    same(is_whole(piece, piece.size), "memory that was not freed");
    const size_t size = below(8) == 0 ? below(100'000) : below(400);
    const size_t had = piece.size;
    switch (below(3)) {
      case 0:
        own_free(piece.at);
        piece.at = static_cast<unsigned char*>(own_malloc(size));
        break;
      case 1:
        own_free(piece.at);
        piece.at = static_cast<unsigned char*>(own_calloc(size, 1));
        piece.filler = 0;
        same(is_whole(piece, size), "calloc");
        break;
      default:
        piece.at = static_cast<unsigned char*>(own_realloc(piece.at, size));
        same(is_whole(piece, had < size ? had : size), "realloc");
    }
    same(piece.at != nullptr && reinterpret_cast<uintptr_t>(piece.at) % 16 == 0, "a piece's place");
    piece.size = size;
    piece.filler = static_cast<unsigned char>(draw());
    memset(piece.at, piece.filler, size);
  }
  for (const Piece& piece : pieces) own_free(piece.at);
  volatile size_t huge = SIZE_MAX;
  same(own_malloc(huge) == nullptr && own_malloc(huge - 16) == nullptr && own_malloc(huge / 2) == nullptr, "malloc");
  same(own_calloc(huge / 2, 3) == nullptr && own_calloc(huge / 8 + 2, 8) == nullptr, "calloc of too much");
  void* const small = own_malloc(10);
  same(own_realloc(small, huge) == nullptr, "realloc to too much");
  own_free(small);
}

void compare_signals() {
  sigset_t one;
  sigset_t other;
  sigemptyset(&one);
  own_sigemptyset(&other);
  for (const int signal : {1, 15, 31, 40, 64}) {
    same(sigaddset(&one, signal) == 0 && own_sigaddset(&other, signal) == 0, "sigaddset");
    same(sigismember(&other, signal) == 1, "sigaddset");
  }
  sigdelset(&one, 15);
  own_sigdelset(&other, 15);
  // The kernel's part of it.
  same(memcmp(&one, &other, sizeof(uint64_t)) == 0, "sigdelset");
  for (const int signal : {0, -1, 65}) {
    same(own_sigaddset(&other, signal) == -1 && own_sigdelset(&other, signal) == -1, "a signal that there is not");
  }
  sigset_t before;
  own_sigfillset(&other);
  same(own_sigprocmask(SIG_SETMASK, &other, &before) == 0, "sigprocmask");
  sigprocmask(SIG_SETMASK, nullptr, &one);
  for (const int signal : {1, 15, 64}) same(sigismember(&one, signal) == 1, "sigfillset");
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

void compare_macros() {
  for (int i = 0; i < 20'000; i++) {
    const auto major_number = static_cast<unsigned>(draw());
    const auto minor_number = static_cast<unsigned>(draw());
    const dev_t device = makedev(major_number, minor_number);
    same(own_gnu_dev_makedev(major_number, minor_number) == device, "makedev");
    same(own_gnu_dev_major(device) == major_number && own_gnu_dev_minor(device) == minor_number, "major and minor");
  }
  for (int i = 0; i < 20'000; i++) {
    alignas(cmsghdr) char space[128] = {};
    msghdr message = {};
    message.msg_control = space;
    message.msg_controllen = sizeof(cmsghdr) + below(sizeof space - sizeof(cmsghdr) + 1);
    auto* const first = reinterpret_cast<cmsghdr*>(space);
    first->cmsg_len = below(100);
    if (CMSG_ALIGN(first->cmsg_len) + sizeof(cmsghdr) <= sizeof space && first->cmsg_len >= sizeof(cmsghdr)) {
      reinterpret_cast<cmsghdr*>(space + CMSG_ALIGN(first->cmsg_len))->cmsg_len = below(100);
    }
    same(__cmsg_nxthdr(&message, first) == own_cmsg_nxthdr(&message, first), "CMSG_NXTHDR");
  }
}

void compare_terminals() {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  termios one = {};
  termios other = {};
  same(tcgetattr(terminal, &one) == 0 && own_tcgetattr(terminal, &other) == 0, "tcgetattr");
  same(memcmp(&one, &other, offsetof(termios, c_ispeed)) == 0, "tcgetattr");
  for (const int when : {TCSANOW, TCSADRAIN, TCSAFLUSH}) {
    own_cfmakeraw(&other);
    cfmakeraw(&one);
    other.c_cc[VTIME] = one.c_cc[VTIME] = static_cast<cc_t>(when);
    same(own_tcsetattr(terminal, when, &other) == 0, "tcsetattr");
    termios now = {};
    tcgetattr(terminal, &now);
    same(memcmp(&one, &now, offsetof(termios, c_ispeed)) == 0, "tcsetattr and cfmakeraw");
  }
  close(terminal);
  same(own_tcgetattr(-1, &other) == -1 && errno == EBADF, "tcgetattr of no terminal");
}

void compare_folders() {
  DIR* const one = opendir("/usr/bin");
  DIR* const other = own_fdopendir(open("/usr/bin", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int turn = 0; turn < 2; turn++) {
    for (;;) {
      const dirent* const a = readdir(one);
      const dirent* const b = own_readdir(other);
      same((a == nullptr) == (b == nullptr), "readdir's end");
      if (a == nullptr || b == nullptr) break;
      same(strcmp(a->d_name, b->d_name) == 0 && a->d_type == b->d_type && a->d_ino == b->d_ino, "readdir");
    }
    rewinddir(one);
    own_rewinddir(other);
  }
  closedir(one);
  same(own_closedir(other) == 0, "closedir");
}

void compare_clocks() {
  // The first turn makes system calls.
  boxctl::libc::was_looked_for = true;
  for (int turn = 0; turn < 2; turn++) {
    for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC}) {
      timespec before;
      timespec own;
      timespec after;
      clock_gettime(clock, &before);
      same(own_clock_gettime(clock, &own) == 0, "clock_gettime");
      clock_gettime(clock, &after);
      const auto ns = [](const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; };
      same(ns(before) <= ns(own) && ns(own) <= ns(after), "clock_gettime");
    }
    timespec time;
    same(own_clock_gettime(-5, &time) == -1 && errno == EINVAL, "clock_gettime of no clock");
    boxctl::libc::was_looked_for = false;
  }
  same(boxctl::libc::read_shared != nullptr, "the clock of the kernel's shared page");
}

}  // namespace

int main() {
  compare_memory();
  compare_texts();
  compare_numbers();
  compare_addresses();
  compare_formats();
  compare_allocations();
  compare_signals();
  compare_macros();
  compare_terminals();
  compare_folders();
  compare_clocks();
  printf("%d differences\n", differences);
  return 0;
}
