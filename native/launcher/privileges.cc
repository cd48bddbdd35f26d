#include "privileges.h"

#include <linux/capability.h>
#include <linux/filter.h>

#include "../shared/fd.h"
#include "../shared/list.h"

namespace boxctl {

long set_groups(const Arg& list) {
  Reader in(list.list, list.list_size);
  List<gid_t> groups;
  if (!groups.reset(list.number)) return -ENOMEM;
  for (uint64_t i = 0; i < list.number; i++) groups[i] = in.u32();
  return call(SYS_setgroups, list.number, groups.begin());
}

long set_capabilities(const Call& c) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; half++) {
    data[half].effective = static_cast<uint32_t>(c.args[0].number >> 32 * half);
    data[half].permitted = static_cast<uint32_t>(c.args[1].number >> 32 * half);
    data[half].inheritable = static_cast<uint32_t>(c.args[2].number >> 32 * half);
  }
  return call(SYS_capset, &header, data);
}

long install_filter(const Call& c) {
  const size_t size = c.args[2].list_size;
  if (size == 0 || size % sizeof(sock_filter) != 0 || size / sizeof(sock_filter) > BPF_MAXINSNS) return -EINVAL;
  sock_fprog program = {};
  program.len = static_cast<unsigned short>(size / sizeof(sock_filter));
  program.filter = reinterpret_cast<sock_filter*>(const_cast<uint8_t*>(c.args[2].list));
  return call(SYS_seccomp, c.args[0].number, c.args[1].number, &program);
}

}  // namespace boxctl
