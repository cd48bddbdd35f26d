#pragma once

#include <elf.h>
#include <stdint.h>

namespace boxctl::libc {

// The arguments, the environment and the auxiliary vector as the kernel has left them: their number comes first.
const uintptr_t* initial_stack();

// Looks in the program that the kernel maps into every process for the function that reads the clock. Null: there is
// none, and each reading is a system call.
void find_clock(const Elf64_Ehdr* shared_page);

}  // namespace boxctl::libc
