// The first instructions of the program, in place of those of the C library.
#include "start.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "raw.h"

int program() __asm__("main");

namespace {

const uintptr_t* first_stack = nullptr;
const Elf64_Ehdr* shared_page = nullptr;

}  // namespace

const uintptr_t* boxctl::libc::initial_stack() { return first_stack; }
const Elf64_Ehdr* boxctl::libc::shared_program() { return shared_page; }

extern "C" {

// What the functions of this program compare at their end (-fstack-protector-strong, -mstack-protector-guard=global).
uintptr_t __stack_chk_guard = 0;

[[noreturn]] void __stack_chk_fail() { __builtin_trap(); }

using Constructor = void (*)();
extern Constructor __init_array_start[];
extern Constructor __init_array_end[];

// `stack`: as the kernel leaves it, with the arguments, the environment and the auxiliary vector (getauxval(3)).
// Without the protector, since this function sets its value.
[[noreturn]] __attribute__((no_stack_protector, used)) void boxctl_start(const uintptr_t* stack) {
  first_stack = stack;
  const uintptr_t* at = stack + 1 + stack[0] + 1;  // after the count of arguments, the arguments and a null
  while (*at != 0) at++;
  for (at++; at[0] != AT_NULL; at += 2) {
    if (at[0] == AT_SYSINFO_EHDR) shared_page = reinterpret_cast<const Elf64_Ehdr*>(at[1]);
    if (at[0] != AT_RANDOM) continue;
    uintptr_t random;
    __builtin_memcpy(&random, reinterpret_cast<const void*>(at[1]), sizeof random);
    // The byte that lies first is 0, so that a text which is read or written too far ends before it.
    __stack_chk_guard = random & ~uintptr_t{0xff};
  }
  for (Constructor* each = __init_array_start; each < __init_array_end; each++) (*each)();
  const int status = program();
  for (;;) boxctl::libc::raw(SYS_exit_group, status);
}

}  // extern "C"

#if defined(__x86_64__)
__asm__(
    ".text\n.globl _start\n.type _start,@function\n"
    "_start:\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call boxctl_start\n");
#else
__asm__(
    ".text\n.globl _start\n.type _start,%function\n"
    "_start:\n"
    "  mov x29, #0\n"
    "  mov x30, #0\n"
    "  mov x0, sp\n"
    "  bl boxctl_start\n");
#endif
