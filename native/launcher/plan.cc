#include "plan.h"

#include <linux/netlink.h>
#include <string.h>

#include "../shared/list.h"
#include "../wire/descriptors.h"

namespace boxctl {
namespace {

// In ms: a million years. A timer's seconds are a signed 64-bit number.
constexpr uint64_t kMaxTime = 1ULL << 55;

// With null for its arguments where there is no call of this number.
CallRow row_of(Op op) {
  const auto number = static_cast<size_t>(op);
  return number < CallTable::kSize ? kCalls.rows[number] : CallRow{};
}

// Netlink messages one after the other, each at a multiple of 4, and in their payloads the places that are filled in,
// in ascending order.
void read_messages(Reader& in, Arg& arg) {
  arg.list_size = in.u32();
  arg.list = in.take(arg.list_size);
  arg.place_count = in.u32();
  arg.places = in.take(arg.place_count * sizeof(uint32_t));
  if (!in.ok()) return;
  Reader places(arg.places, arg.place_count * sizeof(uint32_t));
  size_t place = places.u32();
  for (size_t at = 0; in.ok() && at < arg.list_size;) {
    nlmsghdr header;
    if (arg.list_size - at < sizeof header) return static_cast<void>(in.fail());
    memcpy(&header, arg.list + at, sizeof header);
    const size_t size = header.nlmsg_len;
    if (size < sizeof header || size % NLMSG_ALIGNTO != 0 || size > arg.list_size - at) in.fail();
    if (++arg.number > kMaxMessages) in.fail();
    while (places.ok() && place >= at + sizeof header && place % sizeof(uint32_t) == 0 && place < at + size) {
      place = places.u32();
    }
    at += size;
  }
  // The read past the last place failed unless some place was in no message.
  if (!in.ok() || arg.number == 0 || places.ok()) in.fail();
}

Arg read_arg(Reader& in, char kind) {
  Arg arg;
  switch (kind) {
    case 'f':
      arg.number = in.u16();
      arg.last_use = in.u8() != 0;
      break;
    case 't':
      arg.text = read_text(in);
      break;
    case 'n':
      arg.number = in.u64();
      break;
    case 'T':
      arg.number = in.u32();
      arg.list = in.at();
      for (uint64_t i = 0; i < arg.number && in.ok(); i++) read_text(in);
      arg.list_size = static_cast<size_t>(in.at() - arg.list);
      break;
    case 'I':
      arg.number = in.u32();
      arg.list_size = arg.number * 4;
      arg.list = in.take(arg.list_size);
      break;
    case 'B':
      arg.number = in.u32();
      arg.list_size = arg.number;
      arg.list = in.take(arg.list_size);
      break;
    case 'M':
      read_messages(in, arg);
      break;
    default:
      in.fail();
  }
  return arg;
}

Call read_call(Reader& in) {
  Call call;
  const auto header = in.take<CallHeader>();
  call.op = static_cast<Op>(header.op);
  const char* kinds = signature(call.op);
  if (kinds == nullptr) {
    in.fail();
    return call;
  }
  call.returns = header.returns;
  call.allowed = header.allowed;
  call.count = header.args;
  call.allow = in.take(size_t{call.allowed} * 2);
  if (call.count != strlen(kinds)) in.fail();
  for (size_t i = 0; i < call.count && in.ok(); i++) call.args[i] = read_arg(in, kinds[i]);
  return call;
}

Step read_step(Reader& in) {
  Step step;
  const auto header = in.take<StepHeader>();
  step.side = static_cast<Side>(header.side);
  step.undos = header.undos;
  if ((step.side != Side::kHost && step.side != Side::kContainer) || (header.flags & ~kAllStepFlags) != 0) in.fail();
  step.meanwhile = (header.flags & kStepMeanwhile) != 0;
  step.once = (header.flags & kStepOnce) != 0;
  step.dependent = (header.flags & kStepDependent) != 0;
  step.late = (header.flags & kStepLate) != 0;
  step.mends = (header.flags & kStepMends) != 0;
  step.passed = (header.flags & kStepPassed) != 0;
  step.call = read_call(in);
  step.undo = in.at();
  return step;
}

Report read_report(Reader& in) {
  Report report;
  report.dirfd = in.u16();
  report.file = read_text(in);
  report.key = read_text(in);
  return report;
}

Tally read_tally(Reader& in) {
  Tally tally;
  tally.socket = in.u16();
  tally.question = read_arg(in, 'M');
  // Nothing is filled in: it is asked after the container's end.
  if (tally.question.place_count != 0) in.fail();
  return tally;
}

PlannedExec read_exec(Reader& in) {
  PlannedExec exec;
  const auto header = in.take<ExecHeader>();
  exec.kind = header.kind;
  exec.interval = header.interval;
  exec.start_interval = header.start_interval;
  exec.start_period = header.start_period;
  exec.retries = header.retries;
  exec.size = header.size;
  exec.plan = in.take(exec.size);
  if (!in.ok() || exec.size < sizeof(PlanHeader)) {
    in.fail();
    return exec;
  }
  Reader plan(exec.plan, exec.size);
  exec.time_limit = plan.take<PlanHeader>().time_limit;
  return exec;
}

bool is_nested(const PlannedExec& exec) {
  Reader in(exec.plan, exec.size);
  return in.take<PlanHeader>().execs != 0;
}

// It ends by itself, and has no commands of its own.
bool sound_exec(const PlannedExec& exec) {
  if (exec.kind > kExecPreStop) return false;
  List<const uint8_t*> places;
  Plan plan;
  if (!places.reset(step_count(exec.plan, exec.size)) || !check(exec.plan, exec.size, places.begin(), plan))
    return false;
  return plan.execs == 0 && plan.kept_fds == 0 && plan.sockets == 0 && plan.restart == kRestartNo &&
         plan.terminal == kNoSlot && plan.flags == 0;
}

bool sound_call(const Call& call, uint32_t slots) {
  if (call.returns != kNoSlot && (call.returns >= slots || !row_of(call.op).returns_descriptor)) return false;
  const char* kinds = signature(call.op);
  for (size_t i = 0; i < call.count; i++) {
    if (kinds[i] != 'f') continue;
    const uint64_t slot = call.args[i].number;
    if (slot != kNoSlot && slot != kCwd && slot >= slots) return false;
  }
  return true;
}

// Rules for the order of steps.
bool sound_order(const Step& step, uint32_t index, uint32_t steps, bool cloned) {
  const Op op = step.call.op;
  if (op == Op::kClone3 && (cloned || step.side != Side::kHost)) return false;
  // These do not return: they must be the last step.
  const bool last = op == Op::kExecve || is_image_call(op);
  if (last && index + 1 != steps) return false;
  if ((last || forks(op)) && step.side != Side::kContainer) return false;
  const bool stays = op == Op::kRelay || op == Op::kWatchTables || op == Op::kWatchAddresses;
  if (stays && step.side != Side::kHost) return false;
  if (step.mends && (step.side != Side::kHost || (op != Op::kNetlink && op != Op::kNetlinkOnce))) return false;
  // A step of the launcher's must not be about one run's process, and the other side waits for some of the container's.
  const bool speaks = last || forks(op) || op == Op::kSendmsg;
  if (step.once && (step.side == Side::kHost ? cloned || op == Op::kClone3 || op == Op::kRelay : speaks)) return false;
  if (step.passed && (step.side != Side::kHost || !cloned || step.call.returns == kNoSlot)) return false;
  // The container's side must exist, and it sends descriptors with its turn only.
  if (step.meanwhile && (step.side != Side::kHost || !cloned || op == Op::kRecvmsg)) return false;
  return step.side == Side::kHost || (cloned && step.undos == 0 && !step.late);
}

}  // namespace

const char* signature(Op op) { return row_of(op).arguments; }

bool forks(Op op) { return op == Op::kFork || op == Op::kBecomeInit; }

bool is_image_call(Op op) { return row_of(op).of_imager; }

const uint8_t* Reader::take(size_t size) {
  if (!ok_ || size > static_cast<size_t>(end_ - at_)) {
    ok_ = false;
    return at_;
  }
  const uint8_t* start = at_;
  at_ += size;
  return start;
}

uint64_t Reader::number(size_t size) {
  const uint8_t* bytes = take(size);
  uint64_t value = 0;
  if (!ok_) return value;
  for (size_t i = size; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

Text read_text(Reader& in) {
  Text text;
  const uint8_t kind = in.u8();
  const uint32_t size = in.u32();
  if (kind > 1 || size > kMaxText) in.fail();
  const uint8_t* bytes = in.take(size_t{size} + 1);
  if (!in.ok()) return text;
  if (memchr(bytes, 0, size_t{size} + 1) != bytes + size) {
    in.fail();
    return text;
  }
  text.data = reinterpret_cast<const char*>(bytes);
  text.size = size;
  text.is_template = kind == 1;
  return text;
}

bool Call::tolerates(long error) const {
  for (size_t i = 0; i < allowed; i++) {
    if ((allow[2 * i] | allow[2 * i + 1] << 8) == error) return true;
  }
  return false;
}

uint32_t step_count(const uint8_t* data, size_t size) {
  if (size < sizeof(PlanHeader)) return 0;
  Reader in(data, size);
  const uint32_t steps = in.take<PlanHeader>().steps;
  return steps <= size / (sizeof(StepHeader) + sizeof(CallHeader)) ? steps : 0;
}

bool check(const uint8_t* data, size_t size, const uint8_t** step_at, Plan& plan) {
  Reader in(data, size);
  const auto header = in.take<PlanHeader>();
  if (header.magic != kMagic || header.version != kVersion || header.size != size) return false;
  plan.steps = header.steps;
  plan.reports = header.reports;
  plan.tallies = header.tallies;
  plan.slots = header.slots;
  plan.terminal = header.terminal;
  plan.flags = header.flags;
  plan.time_limit = header.time_limit;
  plan.grace = header.grace;
  plan.stop_signal = header.stop_signal;
  plan.id = header.id;
  plan.kept_fds = header.kept_fds;
  plan.restart = header.restart;
  plan.restart_most = header.restart_most;
  plan.step_at = step_at;
  plan.end = data + size;
  if (!in.ok() || plan.steps == 0 || plan.steps != step_count(data, size) || plan.slots > kMaxSlots) return false;
  if (plan.terminal != kNoSlot && plan.terminal >= plan.slots) return false;
  if ((plan.flags & ~kAllFlags) != 0) return false;
  plan.execs = header.execs;
  plan.sockets = header.sockets;
  plan.outside = header.outside;
  if (plan.outside >= plan.steps) return false;
  if (plan.restart > kRestartAlways) return false;
  if (plan.id >> 48 != 0 || plan.kept_fds > kMaxKeptFds) return false;
  const uint32_t contents = plan.flags & kFlagGiven ? 1 : 0;
  if (plan.sockets > kMaxSockets || (plan.sockets > 0 && contents + plan.sockets > plan.kept_fds)) return false;
  if (plan.time_limit > kMaxTime || plan.stop_signal < 1 || plan.stop_signal > 64) return false;

  bool cloned = false;
  uint32_t quiet = plan.steps - 1;
  Step last;
  for (uint32_t i = 0; i < plan.steps; i++) {
    step_at[i] = in.at();
    last = read_step(in);
    if (!in.ok() || !sound_call(last.call, plan.slots) || !sound_order(last, i, plan.steps, cloned)) return false;
    cloned = cloned || last.call.op == Op::kClone3;
    const bool filters = last.call.op == Op::kSeccomp || last.call.op == Op::kSeccompListener;
    // The container's side still speaks with the launcher here, so the quiet part begins later.
    if (last.side == Side::kHost || forks(last.call.op)) quiet = plan.steps - 1;
    if (filters && quiet > i) quiet = i;
    for (uint16_t u = 0; u < last.undos; u++) {
      const Call undo = read_call(in);
      if (!in.ok() || !sound_call(undo, plan.slots)) return false;
      if (undo.op == Op::kClone3 || forks(undo.op) || undo.op == Op::kExecve) return false;
      if (undo.op == Op::kRelay) return false;
      if (is_image_call(undo.op) || undo.op == Op::kSendmsg || undo.op == Op::kRecvmsg) return false;
    }
  }
  // The container's first process ends with the list, or becomes the command.
  if (last.side != Side::kContainer) return false;
  plan.quiet = quiet;
  plan.reports_at = in.at();
  for (uint32_t i = 0; i < plan.reports; i++) {
    const Report report = read_report(in);
    if (!in.ok() || report.dirfd >= plan.slots) return false;
  }
  plan.tallies_at = in.at();
  for (uint32_t i = 0; i < plan.tallies; i++) {
    const Tally tally = read_tally(in);
    if (!in.ok() || tally.socket >= plan.slots) return false;
  }
  plan.execs_at = in.at();
  for (uint32_t i = 0; i < plan.execs; i++) {
    const PlannedExec exec = read_exec(in);
    // A plan in a plan in a plan is refused before it is looked at, so this does not go deeper.
    if (!in.ok() || is_nested(exec) || !sound_exec(exec)) return false;
  }
  return in.ok() && in.done();
}

Step step(const Plan& plan, uint32_t index) {
  const uint8_t* at = plan.step_at[index];
  Reader in(at, static_cast<size_t>(plan.end - at));
  return read_step(in);
}

Side side_of(const Plan& plan, uint32_t index) {
  StepHeader header;
  memcpy(&header, plan.step_at[index], sizeof header);
  return static_cast<Side>(header.side);
}

Call next_call(const Plan& plan, const uint8_t*& at) {
  Reader in(at, static_cast<size_t>(plan.end - at));
  Call call = read_call(in);
  at = in.at();
  return call;
}

Report next_report(const Plan& plan, const uint8_t*& at) {
  Reader in(at, static_cast<size_t>(plan.end - at));
  Report report = read_report(in);
  at = in.at();
  return report;
}

bool find_exec(const Plan& plan, uint32_t kind, uint32_t skip, PlannedExec& exec) {
  Reader in(plan.execs_at, static_cast<size_t>(plan.end - plan.execs_at));
  for (uint32_t i = 0; i < plan.execs; i++) {
    exec = read_exec(in);
    exec.index = i;
    if (exec.kind == kind && skip-- == 0) return true;
  }
  return false;
}

Tally next_tally(const Plan& plan, const uint8_t*& at) {
  Reader in(at, static_cast<size_t>(plan.end - at));
  Tally tally = read_tally(in);
  at = in.at();
  return tally;
}

}  // namespace boxctl
