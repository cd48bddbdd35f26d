#include "plan.h"

#include <string.h>

namespace boxctl {
namespace {

// Indexed by Op.
constexpr const char* kSignatures[] = {
    nullptr,    // 0 is no call
    "ftnnn",    // openat2
    "f",        // close
    "ftn",      // mkdirat
    "ftnnn",    // mknodat
    "tft",      // symlinkat
    "ftnnn",    // fchownat
    "ftt",      // write
    "ftn",      // unlinkat
    "fn",       // flock
    "ftn",      // open_tree
    "ftftn",    // move_mount
    "ftnnnnf",  // mount_setattr
    "tn",       // fsopen
    "fnttf",    // fsconfig
    "fnn",      // fsmount
    "tt",       // pivot_root
    "tn",       // umount2
    "f",        // fchdir
    "t",        // chdir
    "nnf",      // clone3
    "n",        // unshare
    "fn",       // setns
    "t",        // sethostname
    "t",        // setdomainname
    "",         // setsid
    "I",        // setgroups
    "nnn",      // setresgid
    "nnn",      // setresuid
    "nnnnn",    // prctl
    "nnn",      // capset
    "nnB",      // seccomp
    "tnnn",     // prlimit64
    "fntn",     // ioctl
    "fn",       // ioctl_tiocgptpeer
    "nnn",      // socket
    "fnn",      // dup3
    "nnn",      // close_range
    "TTT",      // execve
    "fn",       // sendmsg
    "",         // recvmsg
    "n",        // umask
    "n",        // keyctl
    "fnnn",     // fstat
    "tT",       // posix_spawn
    "",         // fork
    "ftt",      // read
    "ftf",      // rmtree
    "ttt",      // start_transient_unit
    "ff",       // statx
    "tt",       // userns
    "ff",       // copytree
    "fnn",      // fcntl
    "ft",       // fstat_identity
    "ftn",      // fchmodat
    "nnB",      // seccomp_listener
    "nnn",      // landlock_create_ruleset
    "fn",       // landlock_restrict_self
    "f",        // loop_configure
    "tttnt",    // mount
    "nBt",      // bpf_prog_load
    "ffnn",     // bpf_prog_attach
};
constexpr size_t kOps = sizeof kSignatures / sizeof *kSignatures;

// From Op::kUnpack on.
constexpr const char* kImageSignatures[] = {
    "fnnnnn",    // unpack
    "ftnnn",     // ingest
    "fttnnnnn",  // index
    "",          // scan
    "fTT",       // inspect
    "ff",        // copy
    "fTn",       // extract
};
constexpr size_t kImageOps = sizeof kImageSignatures / sizeof *kImageSignatures;

constexpr size_t kHeader = 44;
// A timer's seconds are a signed 64-bit number, and nobody waits for a million years.
constexpr uint64_t kMaxTime = 1ULL << 55;
constexpr uint32_t kMaxText = 1U << 20;

bool returns_fd(Op op) {
  switch (op) {
    case Op::kOpenat2:
    case Op::kOpenTree:
    case Op::kFsopen:
    case Op::kFsmount:
    case Op::kClone3:
    case Op::kIoctlTiocgptpeer:
    case Op::kSocket:
    case Op::kRecvmsg:
    case Op::kStartTransientUnit:
    case Op::kUserns:
    case Op::kSeccompListener:
    case Op::kLandlockCreateRuleset:
    case Op::kLoopConfigure:
    case Op::kBpfProgLoad:
      return true;
    default:
      return false;
  }
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
    default:
      in.fail();
  }
  return arg;
}

Call read_call(Reader& in) {
  Call call;
  call.op = static_cast<Op>(in.u16());
  const char* kinds = signature(call.op);
  if (kinds == nullptr) {
    in.fail();
    return call;
  }
  call.returns = in.u16();
  call.allowed = in.u8();
  call.count = in.u8();
  call.allow = in.take(size_t{call.allowed} * 2);
  if (call.count != strlen(kinds)) in.fail();
  for (size_t i = 0; i < call.count && in.ok(); i++) call.args[i] = read_arg(in, kinds[i]);
  return call;
}

Step read_step(Reader& in) {
  Step step;
  const uint8_t side = in.u8();
  if (side > 1 || in.u8() != 0) in.fail();
  step.side = static_cast<Side>(side);
  step.undos = in.u16();
  step.call = read_call(in);
  step.undo = in.at();
  return step;
}

Report read_report(Reader& in) {
  Report report;
  report.what = in.u8();
  report.dirfd = in.u16();
  report.file = read_text(in);
  report.key = read_text(in);
  return report;
}

bool sound_call(const Call& call, uint32_t slots) {
  if (call.returns != kNoSlot && (call.returns >= slots || !returns_fd(call.op))) return false;
  const char* kinds = signature(call.op);
  for (size_t i = 0; i < call.count; i++) {
    if (kinds[i] != 'f') continue;
    const uint64_t slot = call.args[i].number;
    if (slot != kNoSlot && slot != kCwd && slot >= slots) return false;
  }
  return true;
}

// What must hold of the list as a whole, whatever the calls do.
bool sound_order(const Step& step, uint32_t index, uint32_t steps, bool cloned) {
  const Op op = step.call.op;
  if (op == Op::kClone3 && (cloned || step.side != Side::kHost)) return false;
  // Nothing comes after the call that does not return.
  const bool last = op == Op::kExecve || is_image_call(op);
  if (last && index + 1 != steps) return false;
  if ((last || op == Op::kFork) && step.side != Side::kContainer) return false;
  return step.side == Side::kHost || (cloned && step.undos == 0);
}

}  // namespace

const char* signature(Op op) {
  const auto number = static_cast<size_t>(op);
  if (number < kOps) return kSignatures[number];
  const auto image = number - static_cast<size_t>(Op::kUnpack);
  return is_image_call(op) && image < kImageOps ? kImageSignatures[image] : nullptr;
}

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
  if (size < kHeader) return 0;
  Reader in(data + 12, 4);
  const uint32_t steps = in.u32();
  // The smallest step is 10 bytes.
  return steps <= size / 10 ? steps : 0;
}

bool check(const uint8_t* data, size_t size, const uint8_t** step_at, Plan& plan) {
  Reader in(data, size);
  if (in.u32() != kMagic || in.u32() != kVersion || in.u32() != size) return false;
  plan.steps = in.u32();
  plan.reports = in.u32();
  plan.slots = in.u32();
  plan.terminal = in.u16();
  plan.flags = in.u16();
  plan.time_limit = in.u64();
  plan.grace = in.u32();
  plan.stop_signal = in.u32();
  plan.step_at = step_at;
  plan.end = data + size;
  if (!in.ok() || plan.steps == 0 || plan.steps != step_count(data, size) || plan.slots > kMaxSlots) return false;
  if (plan.terminal != kNoSlot && plan.terminal >= plan.slots) return false;
  if (plan.flags & ~(kFlagGate | kFlagTerminalStdin)) return false;

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
    // The other side takes part in these, so the stretch before them was not the quiet one.
    if (last.side == Side::kHost || last.call.op == Op::kFork) quiet = plan.steps - 1;
    if (filters && quiet > i) quiet = i;
    for (uint16_t u = 0; u < last.undos; u++) {
      const Call undo = read_call(in);
      if (!in.ok() || !sound_call(undo, plan.slots)) return false;
      if (undo.op == Op::kClone3 || undo.op == Op::kFork || undo.op == Op::kExecve) return false;
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
  return in.ok() && in.done();
}

Step step(const Plan& plan, uint32_t index) {
  const uint8_t* at = plan.step_at[index];
  Reader in(at, static_cast<size_t>(plan.end - at));
  return read_step(in);
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

}  // namespace boxctl
