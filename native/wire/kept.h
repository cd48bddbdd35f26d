// Written by `npm run generate` from src/kernel/wire.ts.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

inline constexpr uint32_t kKeptMagic = 1347115074;
inline constexpr uint32_t kKeptVersion = 7;
inline constexpr size_t kMaxKept = 4194304;

enum class InputKind : uint8_t {
  kPath = 1,
  kReal = 2,
  kAccess = 3,
  kText = 4,
  kFileSystem = 5,
  kFact = 6,
  kVariable = 7,
  kTable = 8,
  kSetting = 9,
  kAddresses = 10,
};
enum class TallyKind : uint8_t {
  kRefused = 0,
  kBegun = 1,
  kPassed = 2,
  kDatagrams = 3,
};
inline constexpr uint8_t kInputAbsent = 1;
inline constexpr uint8_t kInputFollows = 2;
inline constexpr uint8_t kInputWhole = 4;
inline constexpr uint8_t kInputGiven = 8;
inline constexpr uint8_t kInputPlain = 16;

struct KeptHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t size;
  uint32_t words;
  uint32_t inputs;
  uint32_t fills;
  uint32_t reports;
  uint32_t plan_size;
  uint32_t tag;
  uint32_t command_at;
  uint32_t folders;
  uint32_t users;
  uint32_t background;
  uint32_t tallies;
  uint32_t numbers;
};
static_assert(sizeof(KeptHeader) == 60);
static_assert(offsetof(KeptHeader, magic) == 0);
static_assert(offsetof(KeptHeader, version) == 4);
static_assert(offsetof(KeptHeader, size) == 8);
static_assert(offsetof(KeptHeader, words) == 12);
static_assert(offsetof(KeptHeader, inputs) == 16);
static_assert(offsetof(KeptHeader, fills) == 20);
static_assert(offsetof(KeptHeader, reports) == 24);
static_assert(offsetof(KeptHeader, plan_size) == 28);
static_assert(offsetof(KeptHeader, tag) == 32);
static_assert(offsetof(KeptHeader, command_at) == 36);
static_assert(offsetof(KeptHeader, folders) == 40);
static_assert(offsetof(KeptHeader, users) == 44);
static_assert(offsetof(KeptHeader, background) == 48);
static_assert(offsetof(KeptHeader, tallies) == 52);
static_assert(offsetof(KeptHeader, numbers) == 56);

inline constexpr uint32_t kKeptRunMagic = 1380669506;
struct KeptRunHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t tag;
  uint32_t id_at;
  uint32_t created_at;
  uint32_t files;
  uint32_t fills;
  uint32_t numbers;
};
static_assert(sizeof(KeptRunHeader) == 32);
static_assert(offsetof(KeptRunHeader, magic) == 0);
static_assert(offsetof(KeptRunHeader, version) == 4);
static_assert(offsetof(KeptRunHeader, tag) == 8);
static_assert(offsetof(KeptRunHeader, id_at) == 12);
static_assert(offsetof(KeptRunHeader, created_at) == 16);
static_assert(offsetof(KeptRunHeader, files) == 20);
static_assert(offsetof(KeptRunHeader, fills) == 24);
static_assert(offsetof(KeptRunHeader, numbers) == 28);
inline constexpr const char* kRunFiles[] = {
    "container.json", "plan.json", "model.json", "ending.json", "document.json", "root.json",
};

struct KeptIdentity {
  uint64_t dev;
  uint64_t ino;
  uint64_t rdev;
  uint64_t file_size;
  uint64_t mtime;
  uint64_t ctime;
  uint32_t mode;
  uint32_t uid;
  uint32_t gid;
  uint32_t reserved;
};
static_assert(sizeof(KeptIdentity) == 64);
static_assert(offsetof(KeptIdentity, dev) == 0);
static_assert(offsetof(KeptIdentity, ino) == 8);
static_assert(offsetof(KeptIdentity, rdev) == 16);
static_assert(offsetof(KeptIdentity, file_size) == 24);
static_assert(offsetof(KeptIdentity, mtime) == 32);
static_assert(offsetof(KeptIdentity, ctime) == 40);
static_assert(offsetof(KeptIdentity, mode) == 48);
static_assert(offsetof(KeptIdentity, uid) == 52);
static_assert(offsetof(KeptIdentity, gid) == 56);
static_assert(offsetof(KeptIdentity, reserved) == 60);

}  // namespace boxctl
