// Programs that the kernel runs for a cgroup (bpf(2)).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

// Both return -errno on failure; the first a descriptor, which is close-on-exec, as all of bpf(2)'s are.
long bpf_prog_load(uint64_t type, const uint8_t* instructions, size_t size, const char* license);
long bpf_prog_attach(int target, int program, uint64_t type, uint64_t flags);

}  // namespace boxctl
