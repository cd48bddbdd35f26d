// Written by `npm run generate` from src/kernel/wire.ts.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

inline constexpr uint32_t kMagic = 1280333890;
inline constexpr uint32_t kVersion = 10;
inline constexpr size_t kMaxPlan = 67108864;
inline constexpr uint32_t kMaxText = 1048576;
inline constexpr size_t kMaxArgs = 9;
inline constexpr uint16_t kMaxSlots = 65520;
inline constexpr uint32_t kMaxMessages = 65535;
inline constexpr uint16_t kCwd = 65534;
inline constexpr uint16_t kNoSlot = 65535;

enum class Side : uint8_t {
  kHost = 0,
  kContainer = 1,
};
inline constexpr uint8_t kStepMeanwhile = 1;
inline constexpr uint8_t kStepOnce = 2;
inline constexpr uint8_t kStepDependent = 4;
inline constexpr uint8_t kStepLate = 8;
inline constexpr uint8_t kStepMends = 16;
inline constexpr uint8_t kStepPassed = 32;
inline constexpr uint8_t kAllStepFlags = 63;
inline constexpr uint32_t kRestartNo = 0;
inline constexpr uint32_t kRestartOnFailure = 1;
inline constexpr uint32_t kRestartAlways = 2;

inline constexpr uint16_t kFlagGate = 1;
inline constexpr uint16_t kFlagTerminalStdin = 2;
inline constexpr uint16_t kFlagTerse = 8;
inline constexpr uint16_t kFlagLean = 16;
inline constexpr uint16_t kFlagGiven = 32;
inline constexpr uint16_t kFlagHeld = 64;
inline constexpr uint16_t kAllFlags = 123;

struct PlanHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t size;
  uint32_t steps;
  uint32_t reports;
  uint32_t slots;
  uint16_t terminal;
  uint16_t flags;
  uint32_t grace;
  uint64_t time_limit;
  uint32_t stop_signal;
  uint32_t tallies;
  uint64_t id;
  uint32_t kept_fds;
  uint32_t restart;
  uint32_t restart_most;
  uint32_t execs;
  uint32_t sockets;
  uint32_t outside;
};
static_assert(sizeof(PlanHeader) == 80);
static_assert(offsetof(PlanHeader, magic) == 0);
static_assert(offsetof(PlanHeader, version) == 4);
static_assert(offsetof(PlanHeader, size) == 8);
static_assert(offsetof(PlanHeader, steps) == 12);
static_assert(offsetof(PlanHeader, reports) == 16);
static_assert(offsetof(PlanHeader, slots) == 20);
static_assert(offsetof(PlanHeader, terminal) == 24);
static_assert(offsetof(PlanHeader, flags) == 26);
static_assert(offsetof(PlanHeader, grace) == 28);
static_assert(offsetof(PlanHeader, time_limit) == 32);
static_assert(offsetof(PlanHeader, stop_signal) == 40);
static_assert(offsetof(PlanHeader, tallies) == 44);
static_assert(offsetof(PlanHeader, id) == 48);
static_assert(offsetof(PlanHeader, kept_fds) == 56);
static_assert(offsetof(PlanHeader, restart) == 60);
static_assert(offsetof(PlanHeader, restart_most) == 64);
static_assert(offsetof(PlanHeader, execs) == 68);
static_assert(offsetof(PlanHeader, sockets) == 72);
static_assert(offsetof(PlanHeader, outside) == 76);

struct StepHeader {
  uint8_t side;
  uint8_t flags;
  uint16_t undos;
};
static_assert(sizeof(StepHeader) == 4);
static_assert(offsetof(StepHeader, side) == 0);
static_assert(offsetof(StepHeader, flags) == 1);
static_assert(offsetof(StepHeader, undos) == 2);

struct CallHeader {
  uint16_t op;
  uint16_t returns;
  uint8_t allowed;
  uint8_t args;
};
static_assert(sizeof(CallHeader) == 6);
static_assert(offsetof(CallHeader, op) == 0);
static_assert(offsetof(CallHeader, returns) == 2);
static_assert(offsetof(CallHeader, allowed) == 4);
static_assert(offsetof(CallHeader, args) == 5);

struct ExecHeader {
  uint32_t kind;
  uint32_t size;
  uint32_t interval;
  uint32_t start_interval;
  uint32_t start_period;
  uint32_t retries;
};
static_assert(sizeof(ExecHeader) == 24);
static_assert(offsetof(ExecHeader, kind) == 0);
static_assert(offsetof(ExecHeader, size) == 4);
static_assert(offsetof(ExecHeader, interval) == 8);
static_assert(offsetof(ExecHeader, start_interval) == 12);
static_assert(offsetof(ExecHeader, start_period) == 16);
static_assert(offsetof(ExecHeader, retries) == 20);
inline constexpr uint32_t kExecHealth = 0;
inline constexpr uint32_t kExecPostStart = 1;
inline constexpr uint32_t kExecPreStop = 2;

}  // namespace boxctl
