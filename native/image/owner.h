// What a file of an archive gets besides its data: its owner, attributes and time, as far as they can be had here.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "../shared/failure.h"
#include "owners.h"
#include "tar.h"

namespace boxctl::image {

// What could not be had.
struct Losses {
  uint64_t squashed = 0;  // owners that do not exist in this user namespace and became 0
  uint64_t skipped = 0;   // device nodes and extended attributes
};

inline constexpr char kDefaultAcl[] = "system.posix_acl_default";

// A number that this user namespace does not have, or that is not among `owners`, becomes 0, and with it the set-id
// bits go from `mode`: they would lend the rights of another user than the archive meant. `fd` is the file, or its
// folder with a name.
Failure give_owner(int fd, const char* name, const tar::Entry& entry, const Owners& owners, uint32_t& mode,
                   Losses& losses);
// Whether a file may have this extended attribute of the archive's.
bool takes_attribute(const char* name, const Owners& owners);
// All but a folder's default ACL.
Failure give_attributes(int fd, const tar::Entry& entry, const Owners& owners, Losses& losses);
Failure give_attribute(int fd, const char* name, const void* value, size_t size, Losses& losses);

struct timespec time_of(const tar::Entry& entry);

}  // namespace boxctl::image
