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
  kOutput = 40,
  kInputTaken = 41,
  kBegun = 42,
  kHook = 50,
  kHookSaid = 51,
  kHealth = 52,
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
inline constexpr uint32_t kOrderAttach = 6;
inline constexpr uint32_t kOrderInput = 7;
inline constexpr uint32_t kOrderResize = 8;
inline constexpr uint32_t kStopGrace = 4294967295;

struct Order {
  uint32_t kind;
  uint32_t value;
};
static_assert(sizeof(Order) == 8);
static_assert(offsetof(Order, kind) == 0);
static_assert(offsetof(Order, value) == 4);

inline constexpr uint32_t kHealthStarting = 1;
inline constexpr uint32_t kHealthHealthy = 2;
inline constexpr uint32_t kHealthUnhealthy = 3;
inline constexpr uint64_t kHealthResults = 5;
inline constexpr size_t kHealthOutput = 4096;
struct HealthHeader {
  uint32_t state;
  uint32_t failures;
  uint64_t results;
};
static_assert(sizeof(HealthHeader) == 16);
static_assert(offsetof(HealthHeader, state) == 0);
static_assert(offsetof(HealthHeader, failures) == 4);
static_assert(offsetof(HealthHeader, results) == 8);
struct HealthResult {
  uint64_t start;
  uint64_t end;
  int32_t status;
  uint32_t size;
  uint32_t timed_out;
  uint32_t step;
  int32_t error;
  uint32_t reserved;
};
static_assert(sizeof(HealthResult) == 40);
static_assert(offsetof(HealthResult, start) == 0);
static_assert(offsetof(HealthResult, end) == 8);
static_assert(offsetof(HealthResult, status) == 16);
static_assert(offsetof(HealthResult, size) == 20);
static_assert(offsetof(HealthResult, timed_out) == 24);
static_assert(offsetof(HealthResult, step) == 28);
static_assert(offsetof(HealthResult, error) == 32);
static_assert(offsetof(HealthResult, reserved) == 36);

}  // namespace boxctl
