// A plan as it comes over the wire (src/launcher/encode.ts writes it). The bytes are hostile until `check` has walked
// all of them; after that a step is decoded where it lies, without copying.
//
//   plan     PlanHeader, step…, report…, tally…, exec…
//   step     StepHeader, call, undo call…
//   report   dirfd u16, file text, key text
//   tally    socket u16, messages
//   exec     ExecHeader, plan
//   call     CallHeader, allowed errno u16…, argument…
//   fd       slot u16, last use u8
//   text     template u8, length u32, bytes, NUL
//   number   u64
//   texts    count u32, text…
//   ids      count u32, u32…
//   bytes    length u32, bytes
//   messages length u32, netlink messages, count u32, place u32…: where the number of the container's first process
//   goes
// All numbers are little-endian and unaligned.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

#include "../wire/calls.h"
#include "../wire/plan.h"

namespace boxctl {

// True for calls that only the imager has (native/image). Each ends the process.
bool is_image_call(Op op);

// True for calls whose caller stays behind as the parent of the process that goes on with the plan.
bool forks(Op op);

// The kinds of a call's arguments, a letter each, as in native/wire/calls.h. Null: there is no such call.
const char* signature(Op op);

// Bytes that are read in order; every read past the end fails and stays failed.
class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool ok() const { return ok_; }
  bool done() const { return at_ == end_; }
  const uint8_t* at() const { return at_; }
  uint8_t u8() { return static_cast<uint8_t>(number(1)); }
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  uint64_t u64() { return number(8); }
  const uint8_t* take(size_t size);
  // A structure of native/wire. All zero when the bytes end before it does.
  template <typename T>
  T take() {
    static_assert(std::is_trivially_copyable_v<T> && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    T value = {};
    const uint8_t* bytes = take(sizeof value);
    if (ok_) memcpy(&value, bytes, sizeof value);
    return value;
  }
  bool fail() { return ok_ = false; }

 private:
  uint64_t number(size_t size);
  const uint8_t* at_;
  const uint8_t* end_;
  bool ok_ = true;
};

// With a NUL at its end, which `size` does not count. There is no NUL inside.
struct Text {
  const char* data = "";
  uint32_t size = 0;
  bool is_template = false;
};
Text read_text(Reader& in);

struct Arg {
  uint64_t number = 0;  // also the slot of a descriptor and the count of a list
  bool last_use = false;
  Text text;
  const uint8_t* list = nullptr;    // bytes, ids (u32 each), texts or netlink messages, whose number `number` is
  size_t list_size = 0;             // in bytes
  const uint8_t* places = nullptr;  // of netlink messages (u32 each)
  size_t place_count = 0;
};

struct Call {
  Op op = Op::kClose;
  uint16_t returns = kNoSlot;
  uint8_t allowed = 0;
  const uint8_t* allow = nullptr;
  uint8_t count = 0;
  Arg args[kMaxArgs];

  bool tolerates(long error) const;
};

struct Step {
  Side side = Side::kHost;
  // The launcher makes the step while the container's side makes its own steps before it.
  bool meanwhile = false;
  // Made once for all runs (STEP_FLAGS of src/kernel/wire.ts).
  bool once = false;
  // Left out where the step before it on the same side was left out.
  bool dependent = false;
  // Undone after the end was told.
  bool late = false;
  // Made again while the command runs (network_tables.h).
  bool mends = false;
  // The container's side is given the descriptor that it returns.
  bool passed = false;
  uint16_t undos = 0;
  Call call;
  const uint8_t* undo = nullptr;  // the undo calls
};

struct Report {
  uint16_t dirfd = kNoSlot;
  Text file;
  Text key;
};

// A question to nf_tables.
struct Tally {
  uint16_t socket = kNoSlot;
  Arg question;
};

// A command that the launcher runs in the container, by the plan that these bytes are.
struct PlannedExec {
  uint32_t index = 0;
  uint32_t kind = 0;
  uint32_t interval = 0;
  uint32_t start_interval = 0;
  uint32_t start_period = 0;
  uint32_t retries = 0;
  uint64_t time_limit = 0;  // ms; of its plan
  const uint8_t* plan = nullptr;
  size_t size = 0;
};

struct Plan {
  uint32_t steps = 0;
  uint32_t reports = 0;
  uint32_t tallies = 0;
  uint32_t execs = 0;
  uint32_t slots = 0;
  // From this step on the container's side sends nothing more, since the command's filter may forbid it: the last step,
  // or the first of the filters before it.
  uint32_t quiet = 0;
  // With kFlagHeld the launcher waits for a word before this step.
  uint32_t outside = 0;
  uint16_t terminal = kNoSlot;
  uint16_t flags = 0;
  uint64_t time_limit = 0;  // ms from the start of the command; 0: none
  uint32_t grace = 0;       // ms from the stop signal to SIGKILL
  uint32_t stop_signal = 0;
  uint64_t id = 0;                          // of the container, 48 bits; 0: one is chosen
  uint32_t restart = kRestartNo;            // when the plan is run again
  uint32_t restart_most = 0;                // how often at most, for kRestartOnFailure; 0: any number
  uint32_t kept_fds = 0;                    // descriptors that stay open after the launcher's own
  uint32_t sockets = 0;                     // of those, after the contents of secrets: the command's sockets
  const uint8_t* const* step_at = nullptr;  // `steps` places
  const uint8_t* reports_at = nullptr;
  const uint8_t* tallies_at = nullptr;
  const uint8_t* execs_at = nullptr;
  const uint8_t* end = nullptr;
};

// Walks all of the bytes. `step_at` has room for `steps` of the header (see `step_count`). False: not a sound plan.
bool check(const uint8_t* data, size_t size, const uint8_t** step_at, Plan& plan);
// The header's number of steps, or 0 when it is more than so many bytes can hold.
uint32_t step_count(const uint8_t* data, size_t size);

// Of checked bytes only.
Step step(const Plan& plan, uint32_t index);
Side side_of(const Plan& plan, uint32_t index);
Call next_call(const Plan& plan, const uint8_t*& at);
Report next_report(const Plan& plan, const uint8_t*& at);
Tally next_tally(const Plan& plan, const uint8_t*& at);
// The exec of this kind after `skip` others. False: there is none.
bool find_exec(const Plan& plan, uint32_t kind, uint32_t skip, PlannedExec& exec);

}  // namespace boxctl
