// Written by `npm run generate` from src/kernel/constants.ts.
#pragma once

#include <stdint.h>

namespace boxctl {

inline constexpr uint64_t kImageLayer = 1;
inline constexpr uint64_t kImageStopAtImage = 2;
inline constexpr uint64_t kImageLowest = 4;
inline constexpr uint64_t kImageComplete = 8;
inline constexpr uint64_t kImageUndigested = 16;
inline constexpr uint64_t kImageOpaque = 32;
inline constexpr uint64_t kImageGzip = 64;
inline constexpr uint64_t kImageZstd = 128;
inline constexpr uint64_t kImageDescribe = 256;
inline constexpr uint64_t kFilesFollow = 1;
inline constexpr uint64_t kFilesFolder = 2;
inline constexpr uint64_t kFilesNoFolder = 4;
inline constexpr uint64_t kFilesOwners = 8;
inline constexpr uint64_t kFilesTar = 16;

inline constexpr uint64_t kWireDirectory = 65536;
inline constexpr uint64_t kWireNofollow = 131072;

inline constexpr int kListenerFlags = 18436;

}  // namespace boxctl
