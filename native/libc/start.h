#pragma once

#include <elf.h>
#include <stdint.h>

namespace boxctl::libc {

// The arguments, the environment and the auxiliary vector as the kernel has left them: their number comes first.
const uintptr_t* initial_stack();

// The program that the kernel maps into every process (vdso(7)). Null: there is none.
const Elf64_Ehdr* shared_program();

}  // namespace boxctl::libc
