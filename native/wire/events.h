// Written by `npm run generate` from src/kernel/wire.ts.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

enum class Event : uint32_t {
  kDone = 1,
  kSkipped = 2,
  kFailed = 3,
  kUndo = 4,
  kGate = 5,
  kStarted = 6,
  kReport = 7,
  kExited = 8,
  kSignaled = 9,
  kRefused = 10,
  kLeaseBroken = 11,
  kSyscall = 12,
  kPort = 13,
  kRefusals = 14,
  kRefusal = 15,
  kRun = 16,
  kRestarting = 17,
  kTimeLimit = 20,
  kGraceOver = 21,
  kOutputLost = 22,
  kHelperSaid = 30,
  kHelperEnded = 31,
  kBegun = 40,
};
inline constexpr uint32_t kUnknownSyscall = 4294967295;

struct Record {
  Event kind;
  uint32_t index;
  int32_t error;
  uint32_t value;
  uint64_t start;
  uint64_t end;
};
static_assert(sizeof(Record) == 32);
static_assert(offsetof(Record, kind) == 0);
static_assert(offsetof(Record, index) == 4);
static_assert(offsetof(Record, error) == 8);
static_assert(offsetof(Record, value) == 12);
static_assert(offsetof(Record, start) == 16);
static_assert(offsetof(Record, end) == 24);

inline constexpr uint32_t kOrderSignal = 1;
inline constexpr uint32_t kOrderGo = 2;
inline constexpr uint32_t kOrderDetach = 3;
inline constexpr uint32_t kOrderStop = 4;
inline constexpr uint32_t kOrderRestart = 5;
inline constexpr uint32_t kStopGrace = 4294967295;

struct Order {
  uint32_t kind;
  uint32_t value;
};
static_assert(sizeof(Order) == 8);
static_assert(offsetof(Order, kind) == 0);
static_assert(offsetof(Order, value) == 4);

}  // namespace boxctl
