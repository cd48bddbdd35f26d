// Files as a plan opens, writes and reads them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

// The wire carries x86-64's numbers; two of them differ on arm64.
uint64_t open_flags(uint64_t flags);
// openat2(2). -EINVAL without O_CLOEXEC.
long open_at(int dirfd, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve);
// Writes all of the text at once, to `dirfd` itself where the path is empty. 0 or -errno.
long write_file(int dirfd, const char* path, const char* data);
// Some files of cgroups take less than they were told, without a word: what they say afterwards is what holds. -ERANGE
// where that is anything but the text and the end of a line.
long expect_file(int dirfd, const char* path, const char* data);
// CVE-2024-21626: a directory that lies outside of the root has no path, and must not become the working directory.
long inside_root();
// dup3(2), but equal numbers are no error.
long move_fd(int from, int to, uint64_t flags);

}  // namespace boxctl
