// Copies a tree of files with their owners, modes, times and attributes. Its contents are not trusted.
#pragma once

#include <stdint.h>

namespace boxctl {

// For an owner, a group or a mode: as the source has it.
inline constexpr uint32_t kAsSource = UINT32_MAX;

struct CopyOptions {
  // Which extended attributes are copied.
  bool (*keeps)(const char* name);
  // Device nodes are copied as well, where mknod(2) is permitted, which it is not in a user namespace. Sockets never
  // are.
  bool devices;
  // Of the directory itself, not of what is in it.
  uint32_t uid = kAsSource;
  uint32_t gid = kAsSource;
  uint32_t mode = kAsSource;
};

// How many device nodes were left out, although they were asked for.
struct CopyLosses {
  unsigned long devices = 0;
};

// Copies what is in the directory `from` into the empty directory `to`, and then what describes `from` itself: owner,
// attributes, times, and unless it is 0 the mode. Of the files: owners, modes, times, extended attributes, hard links,
// holes; links are never followed. Where the file system can, data is shared. Returns 0 or -errno, and in `path` (of
// PATH_MAX bytes) what it is about. Modes are set by
// chmod(2), so the umask matters only if it takes the owner's bits of what is being made.
long copy_tree(int from, int to, const CopyOptions& options, char* path, CopyLosses* losses = nullptr);

}  // namespace boxctl
