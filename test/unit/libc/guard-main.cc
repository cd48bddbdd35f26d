// Linked with native/libc alone: writes the stack protector's value, and then fills so many bytes of an array of 16 as
// it reads (in two digits).
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern "C" uintptr_t __stack_chk_guard;

namespace {

int constructed = 0;
struct Constructed {
  Constructed() { constructed = 1; }
} constructor;

__attribute__((noinline)) void fill(size_t size) {
  volatile char bytes[16];
  volatile char* volatile at = bytes;
  for (size_t i = 0; i < size; i++) at[i] = static_cast<char>(i);
}

}  // namespace

int main() {
  char text[3] = {};
  if (read(0, text, 2) != 2 || constructed != 1) return 1;
  if (write(1, &__stack_chk_guard, sizeof __stack_chk_guard) != sizeof __stack_chk_guard) return 2;
  fill(strtoul(text, nullptr, 10));
  return 3;
}
