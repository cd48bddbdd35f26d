#include "calls.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "../shared/syscalls.h"
#include "bpf.h"
#include "checks.h"
#include "close_later.h"
#include "control.h"
#include "copytree.h"
#include "events.h"
#include "files.h"
#include "given.h"
#include "given_sockets.h"
#include "handover.h"
#include "host_addresses.h"
#include "image_call.h"
#include "limits.h"
#include "log.h"
#include "loop.h"
#include "make.h"
#include "mounts.h"
#include "netlink.h"
#include "network_names.h"
#include "network_relay.h"
#include "network_tables.h"
#include "open_files.h"
#include "privileges.h"
#include "process.h"
#include "reaper.h"
#include "remove.h"
#include "sockets.h"
#include "streams.h"
#include "systemd.h"
#include "text.h"
#include "userns.h"

namespace boxctl {
namespace {

// Numbers of calls that are newer than the oldest headers that boxctl is built with; the same on x86-64 and arm64.

long control_device(int fd, unsigned long request, const char* name, uint64_t value) {
  if (request == SIOCSIFFLAGS) {
    ifreq interface = {};
    if (strlen(name) >= sizeof interface.ifr_name) return -ENAMETOOLONG;
    memcpy(interface.ifr_name, name, strlen(name) + 1);
    interface.ifr_flags = static_cast<short>(value);
    return negate(ioctl(fd, request, &interface));
  }
  if (request == TIOCSPTLCK) {
    int lock = static_cast<int>(value);
    return negate(ioctl(fd, request, &lock));
  }
  return negate(ioctl(fd, request, value));
}

long add_relay(const Context& context, int socket, int network, const Arg& texts, uint64_t most, uint64_t idle) {
  if (texts.number > NetworkRelay::kMostTargets || most > UINT32_MAX || idle > UINT32_MAX) return -EINVAL;
  SocketAddress targets[NetworkRelay::kMostTargets];
  NetworkRelay::Options options;
  Reader in(texts.list, texts.list_size);
  for (uint64_t i = 0; i < texts.number; i++) {
    if (!parse_address(read_text(in).data, targets[options.target_count++])) return -EINVAL;
  }
  options.network = network;
  options.targets = targets;
  options.most = static_cast<uint32_t>(most);
  options.idle = static_cast<uint32_t>(idle);
  return context.relay->add(socket, options);
}

bool takes_fd(const Call& c, size_t index) { return signature(c.op)[index] == 'f'; }

// The descriptor behind an argument: a slot, the working directory, or none (-1).
int descriptor(const Context& context, const Arg& arg) {
  if (arg.number == kCwd) return AT_FDCWD;
  if (arg.number >= context.slot_count) return -1;
  return context.slots[arg.number];
}

// The container's first process knows itself by the number that it has in its own process namespace.
Filled filled(const Context& context) { return {context.child == 0 ? getpid() : context.child, context.link}; }

// The command gets the caller's limit of open files, unless the plan sets one (prlimit64). The imager, which has no
// command, keeps what it has. Before the command's filter, which may forbid it.
void prepare_open_files(const Plan& plan) {
  if (!has_raised_open_files()) return;
  for (uint32_t index = 0; index < plan.steps; index++) {
    const Call made = step(plan, index).call;
    if (made.op == Op::kPrlimit64 && made.args[1].number == RLIMIT_NOFILE) return;
    if (made.op == Op::kExecve) restore_open_files();
  }
}

// The texts of a call's arguments as the kernel gets them.
using ArgTexts = const char* [kMaxArgs];

long dispatch(Context& context, const Call& c, const ArgTexts& texts, uint32_t& detail) {
  int fds[kMaxArgs];
  for (size_t i = 0; i < kMaxArgs; i++) fds[i] = i < c.count && takes_fd(c, i) ? descriptor(context, c.args[i]) : -1;
  const auto n = [&c](size_t i) { return c.args[i].number; };

  switch (c.op) {
    case Op::kOpenat2:
      return open_at(fds[0], texts[1], n(2), n(3), n(4));
    case Op::kClose:
      // The slot is closed after the call, as at any last use.
      return 0;
    case Op::kCloseLater:
      close_later(context.slots.take(n(0)));
      return 0;
    case Op::kMkdirat:
      return call(SYS_mkdirat, fds[0], texts[1], n(2));
    case Op::kMknodat:
      return call(SYS_mknodat, fds[0], texts[1], n(2),
                  makedev(static_cast<unsigned>(n(3)), static_cast<unsigned>(n(4))));
    case Op::kSymlinkat:
      return call(SYS_symlinkat, texts[0], fds[1], texts[2]);
    case Op::kFchownat:
      return call(SYS_fchownat, fds[0], texts[1], n(2), n(3), n(4));
    case Op::kWrite:
      return write_file(fds[0], texts[1], texts[2]);
    case Op::kRead:
      return expect_file(fds[0], texts[1], texts[2]);
    case Op::kUnlinkat:
      return call(SYS_unlinkat, fds[0], texts[1], n(2));
    case Op::kRemoveCgroup:
      return remove_cgroup(fds[0], texts[1]);
    case Op::kRemoveUnused:
      return remove_unused(fds[0], fds[1], texts[2], static_cast<int>(n(3)), texts[4]);
    case Op::kIfUnused:
      return copy_if_unused(fds[0], fds[1]);
    case Op::kFlock:
      return call(SYS_flock, fds[0], n(1));
    case Op::kOpenTree:
      if (!(n(2) & OPEN_TREE_CLOEXEC)) return -EINVAL;
      return call(kSysOpenTree, fds[0], texts[1], n(2));
    case Op::kMoveMount:
      return call(kSysMoveMount, fds[0], texts[1], fds[2], texts[3], n(4));
    case Op::kMountSetattr:
      return mount_attributes(fds[0], texts[1], c, fds[6]);
    case Op::kFsopen:
      return call(kSysFsopen, texts[0], n(1) | FSOPEN_CLOEXEC);
    case Op::kFsconfig:
      return configure(fds[0], c, texts[2], texts[3], fds[4]);
    case Op::kFsmount:
      return call(kSysFsmount, fds[0], n(1) | FSMOUNT_CLOEXEC, n(2));
    case Op::kPivotRoot:
      return call(SYS_pivot_root, texts[0], texts[1]);
    case Op::kUmount2:
      return call(SYS_umount2, texts[0], n(1));
    case Op::kFchdir: {
      const long result = call(SYS_fchdir, fds[0]);
      return result < 0 ? result : inside_root();
    }
    case Op::kChdir: {
      const long result = call(SYS_chdir, texts[0]);
      return result < 0 ? result : inside_root();
    }
    case Op::kClone3:
      return clone_process(context, c, fds[2]);
    case Op::kUnshare:
      return call(SYS_unshare, n(0));
    case Op::kSetns:
      return call(SYS_setns, fds[0], n(1));
    case Op::kSethostname:
      return call(SYS_sethostname, texts[0], strlen(texts[0]));
    case Op::kSetdomainname:
      return call(SYS_setdomainname, texts[0], strlen(texts[0]));
    case Op::kSetsid:
      return call(SYS_setsid);
    case Op::kSetgroups:
      return set_groups(c.args[0]);
    case Op::kSetresgid:
      return call(SYS_setresgid, n(0), n(1), n(2));
    case Op::kSetresuid:
      return call(SYS_setresuid, n(0), n(1), n(2));
    case Op::kPrctl:
      return call(SYS_prctl, n(0), n(1), n(2), n(3), n(4));
    case Op::kCapset:
      return set_capabilities(c);
    case Op::kLandlockCreateRuleset: {
      // struct landlock_ruleset_attr of Linux 6.12; an older kernel refuses what it does not know of it (E2BIG).
      const uint64_t ruleset[] = {n(0), n(1), n(2)};
      return call(kSysLandlockCreateRuleset, ruleset, sizeof ruleset, 0);
    }
    case Op::kLandlockRestrictSelf:
      return call(kSysLandlockRestrictSelf, fds[0], n(1));
    case Op::kSeccomp:
    case Op::kSeccompListener:
      prepare_open_files(*context.plan);
      return install_filter(c);
    case Op::kPrlimit64: {
      const rlimit64 limit = {n(2), n(3)};
      return call(SYS_prlimit64, strtol(texts[0], nullptr, 10), n(1), &limit, nullptr);
    }
    case Op::kIoctl:
      return control_device(fds[0], n(1), texts[2], n(3));
    case Op::kIoctlTiocgptpeer:
      return negate(ioctl(fds[0], TIOCGPTPEER, open_flags(n(1)) | O_CLOEXEC));
    case Op::kIoctlSiocgifindex: {
      const long index = interface_index(fds[0], texts[1]);
      if (index > 0) context.link = static_cast<uint32_t>(index);
      return index < 0 ? index : 0;
    }
    case Op::kSocket:
      // The container's first process has been started, with the limit of the caller.
      return open_socket(n(0), n(1), n(2), context.child > 0);
    case Op::kDup3:
      return move_fd(fds[0], static_cast<int>(n(1)), n(2));
    case Op::kCloseRange:
      return call(kSysCloseRange, static_cast<unsigned>(n(0)), static_cast<unsigned>(n(1)), n(2));
    case Op::kExecve:
      prepare_open_files(*context.plan);
      return execute(context, c, detail);
    case Op::kSendmsg: {
      Handover message;
      message.kind = n(1) == kListenerFlags ? kListener : kDescriptor;
      return send_handover(context.peer.get(), message, fds[0], static_cast<int>(n(1)));
    }
    case Op::kRecvmsg:
      return context.received.valid() ? context.received.release() : -EBADMSG;
    case Op::kUmask:
      return call(SYS_umask, n(0)) & 0;
    case Op::kKeyctl:
      return call(SYS_keyctl, n(0), nullptr) < 0 ? -errno : 0;
    case Op::kFstat:
      return is_device(fds[0], n(1), n(2), n(3));
    case Op::kPosixSpawn:
      return run_helper(context, texts[0], c.args[1], detail);
    case Op::kSpawnHelper: {
      const StringArray argv(context, c.args[1]);
      return argv.ok() ? context.helper.start(texts[0], argv.get(), n(2), n(3), detail) : -ENOMEM;
    }
    case Op::kPidfdSendSignal:
      return call(kSysPidfdSendSignal, fds[0], n(1), nullptr, 0);
    case Op::kFork:
      return become_reaper(-1);
    case Op::kMakeInit:
      return make_init();
    case Op::kBecomeInit:
      return become_reaper(fds[0]);
    case Op::kRmtree:
      return remove_tree(fds[0], texts[1], fds[2]);
    case Op::kStartTransientUnit:
      return start_transient_scope(texts[0], texts[1], texts[2]);
    case Op::kStatx:
      return is_same_place(fds[0], fds[1]);
    case Op::kUserns:
      return make_user_namespace(texts[0], texts[1]);
    case Op::kCopytree:
      return copytree(fds[0], fds[1], static_cast<uint32_t>(n(2)), static_cast<uint32_t>(n(3)),
                      static_cast<uint32_t>(n(4)));
    case Op::kFcntl:
      // With a lease the signal of its breaking goes to the process that took it.
      return n(1) == F_SETLEASE ? negate(fcntl(fds[0], F_SETLEASE, static_cast<int>(n(2)))) : -EINVAL;
    case Op::kFstatIdentity:
      return is_same_file(fds[0], texts[1]);
    case Op::kLoopConfigure:
      return attach_loop(fds[0]);
    case Op::kFchmodat:
      return call(SYS_fchmodat, fds[0], texts[1], n(2));
    case Op::kReadahead:
      return read_ahead(fds[0], context, c.args[1], n(2));
    case Op::kMakeInRoot:
      return make_in_root(fds[0], texts[1], n(2), n(3), n(4));
    case Op::kMount:
      return call(SYS_mount, texts[0], texts[1], texts[2], n(3), texts[4]);
    case Op::kBpfProgLoad:
      return bpf_prog_load(n(0), c.args[1].list, c.args[1].list_size, texts[2]);
    case Op::kBpfProgAttach:
      return bpf_prog_attach(fds[0], fds[1], n(2), n(3));
    case Op::kNetlink:
      return send_messages(fds[0], c.args[1], filled(context), detail);
    case Op::kNetlinkOnce:
      return send_messages_once(fds[0], c.args[1], c.args[2], filled(context), detail);
    case Op::kWatchTables:
      return context.tables->watch(static_cast<uint16_t>(n(0)), c.args[1]);
    case Op::kWatchAddresses:
      return context.addresses->watch(static_cast<uint16_t>(n(0)), c.args[1].text.data, c.args[2].text.data,
                                      c.args[3].text.data);
    case Op::kSetsockopt:
      return set_option(fds[0], n(1), n(2), n(3));
    case Op::kBind:
      return bind_address(fds[0], n(1), n(2), texts[3]);
    case Op::kListen:
      return call(SYS_listen, fds[0], n(1));
    case Op::kBindFree:
      return bind_free(fds[0], texts[1], fds[2], texts[3]);
    case Op::kRelay:
      return add_relay(context, fds[0], fds[1], c.args[2], n(3), n(4));
    case Op::kFollowNames:
      return context.names->follow(fds[0], fds[1], texts[2]);
    case Op::kListenControl:
      return context.control->listen(fds[0], texts[1]);
    case Op::kPidfdOpen:
      return open_process(texts[0], texts[1]);
    case Op::kFstatfs:
      return is_on(fds[0], n(1));
    case Op::kWriteGiven:
      return write_given(context.given, n(1), fds[0]);
    case Op::kPassSockets:
      return pass_sockets(context.sockets, n(0));
    case Op::kWriteLimits:
      return write_limits(fds[0], texts[1], detail);
    case Op::kRecordEvents:
      return context.events->keep_in(fds[0], fds[1]);
    case Op::kLogFiles:
      return context.log->keep_in_files(fds[0], n(1), n(2));
    case Op::kLogJournal:
      return context.log->keep_in_journal(texts[0], texts[1], texts[2]);
    case Op::kLogNone:
      return context.log->keep_nothing();
    case Op::kStreams:
      return prepare_streams(context, n(0) != 0, n(1) != 0);
    case Op::kUnpack:
    case Op::kIngest:
    case Op::kIndex:
    case Op::kScan:
    case Op::kInspect:
    case Op::kCopy:
    case Op::kExtract:
    case Op::kCompress:
    case Op::kPack:
    case Op::kSendFiles:
    case Op::kTakeFiles:
    case Op::kListChanges:
      return image_call(context, c, fds[0], texts[1]);
  }
  return -ENOSYS;
}

// A function of its own, since the completed texts take much of the stack, and the kernel gives a process the pages of
// that as they are touched.
[[gnu::noinline]] long dispatch_completed(Context& context, const Call& c, uint32_t& detail) {
  Texts completed(context);
  ArgTexts texts;
  for (size_t i = 0; i < kMaxArgs; i++) {
    texts[i] = completed.complete(c.args[i].text);
    if (texts[i] == nullptr) return -ENAMETOOLONG;
  }
  return dispatch(context, c, texts, detail);
}

long with_texts(Context& context, const Call& c, uint32_t& detail) {
  ArgTexts texts;
  for (size_t i = 0; i < kMaxArgs; i++) {
    if (c.args[i].text.is_template) return dispatch_completed(context, c, detail);
    texts[i] = c.args[i].text.data;
  }
  return dispatch(context, c, texts, detail);
}

// True when an earlier, tolerated error left one of the call's descriptors absent.
bool lacks_descriptor(const Context& context, const Call& c) {
  for (size_t i = 0; i < c.count; i++) {
    if (!takes_fd(c, i)) continue;
    const uint64_t slot = c.args[i].number;
    if (slot < context.slot_count && context.slots[slot] < 0) return true;
  }
  return false;
}

void close_last_uses(Context& context, const Call& c) {
  for (size_t i = 0; i < c.count; i++) {
    const uint64_t slot = c.args[i].number;
    const bool last = c.args[i].last_use || c.op == Op::kClose;
    if (!last || !takes_fd(c, i) || slot >= context.slot_count) continue;
    context.slots.close(slot);
  }
}

}  // namespace

Result perform(Context& context, const Call& c, bool left_out) {
  Result result;
  if (left_out || lacks_descriptor(context, c)) {
    result.skipped = true;
    close_last_uses(context, c);
    return result;
  }
  result.value = with_texts(context, c, result.detail);
  if (result.value < 0 && c.tolerates(-result.value)) {
    result.value = 0;
    result.skipped = true;
  } else if (result.value >= 0 && c.returns != kNoSlot && !(c.op == Op::kClone3 && context.child == 0)) {
    context.slots.put(c.returns, static_cast<int>(result.value));
  }
  close_last_uses(context, c);
  return result;
}

long prepare_command(const Context& context) {
  // A launcher that died before its death was this process's too cannot take it along any more.
  char byte;
  if (context.peer.valid() && recv(context.peer.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) return -EPIPE;
  // The launcher, and whoever has started it, may have blocked some.
  const unsigned long none = 0;
  return call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
}

}  // namespace boxctl
