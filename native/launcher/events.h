// The launcher's reports to its owner: records of 32 bytes over the control socket, collected and sent in one call at
// each handover. src/run/launch.ts reads them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

enum class Event : uint32_t {
  kDone = 1,     // index, start, end (monotonic, ns)
  kSkipped = 2,  // the same
  kFailed = 3,   // index, error, value = detail
  kUndo = 4,     // index, error (0 when it worked)
  kGate = 5,
  kStarted = 6,   // value = pid
  kReport = 7,    // index, error, start = the number
  kExited = 8,    // value = status
  kSignaled = 9,  // value = signal
  kRefused = 10,  // the plan is not sound: error
  kLeaseBroken = 11,
  kSyscall = 12,    // index = its number, or kUnknownSyscall; start = how often it was seen
  kTimeLimit = 20,  // the command has had its time, and is stopped
  kGraceOver = 21,  // it did not end after its stop signal, and is killed
};

inline constexpr uint32_t kUnknownSyscall = 0xffffffff;

struct Record {
  Event kind;
  uint32_t index;
  int32_t error;
  uint32_t value;
  uint64_t start;
  uint64_t end;
};
static_assert(sizeof(Record) == 32);

// What the owner says: 8 bytes each.
struct Order {
  uint32_t kind;
  uint32_t value;
};
inline constexpr uint32_t kOrderSignal = 1;
inline constexpr uint32_t kOrderGo = 2;

uint64_t now_ns();

class Events {
 public:
  explicit Events(int socket) : socket_(socket) {}
  void add(const Record& record);
  // Drops what cannot be delivered: an owner that has gone is noticed elsewhere.
  void flush();

 private:
  int socket_;
  size_t count_ = 0;
  Record records_[128];
};

}  // namespace boxctl
