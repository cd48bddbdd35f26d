#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>

#include "../shared/fd.h"

namespace boxctl {

long bpf_prog_load(uint64_t type, const uint8_t* instructions, size_t size, const char* license) {
  if (size == 0 || size % sizeof(bpf_insn) != 0) return -EINVAL;
  bpf_attr attributes = {};
  attributes.prog_type = static_cast<uint32_t>(type);
  attributes.insn_cnt = static_cast<uint32_t>(size / sizeof(bpf_insn));
  attributes.insns = reinterpret_cast<uintptr_t>(instructions);
  attributes.license = reinterpret_cast<uintptr_t>(license);
  return call(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}

long bpf_prog_attach(int target, int program, uint64_t type, uint64_t flags) {
  bpf_attr attributes = {};
  attributes.target_fd = static_cast<uint32_t>(target);
  attributes.attach_bpf_fd = static_cast<uint32_t>(program);
  attributes.attach_type = static_cast<uint32_t>(type);
  attributes.attach_flags = static_cast<uint32_t>(flags);
  return call(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes);
}

}  // namespace boxctl
