// The extended attributes of an entry as EROFS keeps them, with what the kernel would refuse or change if they were set
// one by one: the unpacked tree and the indexed one must not differ.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "../shared/list.h"
#include "erofs_format.h"
#include "tar.h"

namespace boxctl::image {

// XATTR_NAME_MAX of the kernel.
inline constexpr size_t kMaxXattrName = 255;
// Of one file, with room for the marks of a layer's folder.
inline constexpr size_t kMarksSize = 40;
inline constexpr size_t kMaxAttributes = erofs::kMaxXattrBytes - kMarksSize;

enum class Attributes { kDone, kNoMemory, kTooLarge };

// Appends the attributes of a file or folder of this mode to `out`. `before` are those that the folder has already from
// an earlier entry; they stay unless they are set anew. Adds to `skipped` what is not kept.
Attributes encode_attributes(const tar::Entry& entry, mode_t mode, const uint8_t* before, size_t before_size,
                             List<uint8_t>& out, uint64_t& skipped);

}  // namespace boxctl::image
