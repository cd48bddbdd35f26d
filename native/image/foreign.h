// Names what is no tar archive, so that a person is told what the file is and which command makes a tar of it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl::foreign {

// As many first bytes as recognise() looks at: btrfs has its mark farthest from the start.
inline constexpr size_t kLook = 0x10048;

// The sentence for a file that begins like this, or null when it is nothing that is known.
const char* recognise(const uint8_t* start, size_t size);

// What to do about a sentence of recognise()'s; null for any other text.
const char* advice(const char* sentence);

}  // namespace boxctl::foreign
