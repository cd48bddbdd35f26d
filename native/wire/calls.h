// Written by `npm run generate` from src/kernel/calls.ts.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace boxctl {

enum class Op : uint16_t {
  kOpenat2 = 1,
  kClose = 2,
  kMkdirat = 3,
  kMknodat = 4,
  kSymlinkat = 5,
  kFchownat = 6,
  kWrite = 7,
  kUnlinkat = 8,
  kFlock = 9,
  kOpenTree = 10,
  kMoveMount = 11,
  kMountSetattr = 12,
  kFsopen = 13,
  kFsconfig = 14,
  kFsmount = 15,
  kPivotRoot = 16,
  kUmount2 = 17,
  kFchdir = 18,
  kChdir = 19,
  kClone3 = 20,
  kUnshare = 21,
  kSetns = 22,
  kSethostname = 23,
  kSetdomainname = 24,
  kSetsid = 25,
  kSetgroups = 26,
  kSetresgid = 27,
  kSetresuid = 28,
  kPrctl = 29,
  kCapset = 30,
  kSeccomp = 31,
  kPrlimit64 = 32,
  kIoctl = 33,
  kIoctlTiocgptpeer = 34,
  kSocket = 35,
  kDup3 = 36,
  kCloseRange = 37,
  kExecve = 38,
  kSendmsg = 39,
  kRecvmsg = 40,
  kUmask = 41,
  kKeyctl = 42,
  kFstat = 43,
  kPosixSpawn = 44,
  kFork = 45,
  kRead = 46,
  kRmtree = 47,
  kStartTransientUnit = 48,
  kStatx = 49,
  kUserns = 50,
  kCopytree = 51,
  kFcntl = 52,
  kFstatIdentity = 53,
  kFchmodat = 54,
  kSeccompListener = 55,
  kLandlockCreateRuleset = 56,
  kLandlockRestrictSelf = 57,
  kLoopConfigure = 58,
  kMount = 59,
  kBpfProgLoad = 60,
  kBpfProgAttach = 61,
  kStreams = 62,
  kRemoveCgroup = 65,
  kRemoveUnused = 66,
  kMakeInRoot = 70,
  kNetlink = 71,
  kNetlinkOnce = 72,
  kSetsockopt = 73,
  kBind = 74,
  kListen = 75,
  kIfUnused = 76,
  kRelay = 80,
  kBindFree = 81,
  kCloseLater = 82,
  kSpawnHelper = 90,
  kPidfdSendSignal = 91,
  kIoctlSiocgifindex = 92,
  kListenControl = 93,
  kRecordEvents = 94,
  kPidfdOpen = 95,
  kFstatfs = 96,
  kLogFiles = 100,
  kLogJournal = 101,
  kLogNone = 102,
  kWriteGiven = 110,
  kFollowNames = 111,
  kMakeInit = 112,
  kBecomeInit = 113,
  kWriteLimits = 120,
  kPassSockets = 121,
  kWatchTables = 122,
  kWatchAddresses = 123,
  kReadahead = 124,
  kUnpack = 200,
  kIngest = 201,
  kIndex = 202,
  kScan = 203,
  kInspect = 204,
  kCopy = 205,
  kExtract = 206,
  kCompress = 207,
  kPack = 208,
  kSendFiles = 209,
  kTakeFiles = 210,
  kListChanges = 211,
};

struct CallRow {
  // A letter for each argument: f descriptor, t text, n number, T texts, I ids, B bytes, M netlink messages. Null:
  // there is no such call.
  const char* arguments = nullptr;
  bool returns_descriptor = false;
  bool of_imager = false;
};

struct CallTable {
  static constexpr size_t kSize = 212;
  CallRow rows[kSize] = {};
  constexpr CallRow& row(Op op) { return rows[static_cast<size_t>(op)]; }
  constexpr CallTable() {
    // openat2(dirfd, pathname, flags, mode, resolve)
    row(Op::kOpenat2) = {"ftnnn", true};
    // close(fd)
    row(Op::kClose) = {"f"};
    // mkdirat(dirfd, pathname, mode)
    row(Op::kMkdirat) = {"ftn"};
    // mknodat(dirfd, pathname, mode, major, minor)
    row(Op::kMknodat) = {"ftnnn"};
    // symlinkat(target, newdirfd, linkpath)
    row(Op::kSymlinkat) = {"tft"};
    // fchownat(dirfd, pathname, owner, group, flags)
    row(Op::kFchownat) = {"ftnnn"};
    // write(dirfd, pathname, data)
    row(Op::kWrite) = {"ftt"};
    // unlinkat(dirfd, pathname, flags)
    row(Op::kUnlinkat) = {"ftn"};
    // flock(fd, operation)
    row(Op::kFlock) = {"fn"};
    // open_tree(dirfd, pathname, flags)
    row(Op::kOpenTree) = {"ftn", true};
    // move_mount(from_dirfd, from_pathname, to_dirfd, to_pathname, flags)
    row(Op::kMoveMount) = {"ftftn"};
    // mount_setattr(dirfd, pathname, flags, attr_set, attr_clr, propagation, userns_fd)
    row(Op::kMountSetattr) = {"ftnnnnf"};
    // fsopen(fsname, flags)
    row(Op::kFsopen) = {"tn", true};
    // fsconfig(fd, cmd, key, value, aux)
    row(Op::kFsconfig) = {"fnttf"};
    // fsmount(fd, flags, attr_flags)
    row(Op::kFsmount) = {"fnn", true};
    // pivot_root(new_root, put_old)
    row(Op::kPivotRoot) = {"tt"};
    // umount2(target, flags)
    row(Op::kUmount2) = {"tn"};
    // fchdir(fd)
    row(Op::kFchdir) = {"f"};
    // chdir(path)
    row(Op::kChdir) = {"t"};
    // clone3(flags, exit_signal, cgroup)
    row(Op::kClone3) = {"nnf", true};
    // unshare(flags)
    row(Op::kUnshare) = {"n"};
    // setns(fd, nstype)
    row(Op::kSetns) = {"fn"};
    // sethostname(name)
    row(Op::kSethostname) = {"t"};
    // setdomainname(name)
    row(Op::kSetdomainname) = {"t"};
    // setsid()
    row(Op::kSetsid) = {""};
    // setgroups(list)
    row(Op::kSetgroups) = {"I"};
    // setresgid(rgid, egid, sgid)
    row(Op::kSetresgid) = {"nnn"};
    // setresuid(ruid, euid, suid)
    row(Op::kSetresuid) = {"nnn"};
    // prctl(option, arg2, arg3, arg4, arg5)
    row(Op::kPrctl) = {"nnnnn"};
    // capset(effective, permitted, inheritable)
    row(Op::kCapset) = {"nnn"};
    // seccomp(operation, flags, program)
    row(Op::kSeccomp) = {"nnB"};
    // prlimit64(pid, resource, soft, hard)
    row(Op::kPrlimit64) = {"tnnn"};
    // ioctl(fd, request, name, value)
    row(Op::kIoctl) = {"fntn"};
    // ioctl_tiocgptpeer(fd, flags)
    row(Op::kIoctlTiocgptpeer) = {"fn", true};
    // socket(domain, type, protocol)
    row(Op::kSocket) = {"nnn", true};
    // dup3(oldfd, newfd, flags)
    row(Op::kDup3) = {"fnn"};
    // close_range(first, last, flags)
    row(Op::kCloseRange) = {"nnn"};
    // execve(pathname, argv, envp)
    row(Op::kExecve) = {"TTT"};
    // sendmsg(fd, flags)
    row(Op::kSendmsg) = {"fn"};
    // recvmsg()
    row(Op::kRecvmsg) = {"", true};
    // umask(mask)
    row(Op::kUmask) = {"n"};
    // keyctl(operation)
    row(Op::kKeyctl) = {"n"};
    // fstat(fd, mode, major, minor)
    row(Op::kFstat) = {"fnnn"};
    // posix_spawn(path, argv)
    row(Op::kPosixSpawn) = {"tT"};
    // fork()
    row(Op::kFork) = {""};
    // read(dirfd, pathname, data)
    row(Op::kRead) = {"ftt"};
    // rmtree(dirfd, pathname, userns)
    row(Op::kRmtree) = {"ftf"};
    // start_transient_unit(socket, name, hierarchy)
    row(Op::kStartTransientUnit) = {"ttt", true};
    // statx(dirfd, other)
    row(Op::kStatx) = {"ff"};
    // userns(uid_map, gid_map)
    row(Op::kUserns) = {"tt", true};
    // copytree(from, to, owner, group, mode)
    row(Op::kCopytree) = {"ffnnn"};
    // fcntl(fd, cmd, arg)
    row(Op::kFcntl) = {"fnn"};
    // fstat_identity(fd, identity)
    row(Op::kFstatIdentity) = {"ft"};
    // fchmodat(dirfd, pathname, mode)
    row(Op::kFchmodat) = {"ftn"};
    // seccomp_listener(operation, flags, program)
    row(Op::kSeccompListener) = {"nnB", true};
    // landlock_create_ruleset(handled_access_fs, handled_access_net, scoped)
    row(Op::kLandlockCreateRuleset) = {"nnn", true};
    // landlock_restrict_self(ruleset_fd, flags)
    row(Op::kLandlockRestrictSelf) = {"fn"};
    // loop_configure(fd)
    row(Op::kLoopConfigure) = {"f", true};
    // mount(source, target, filesystemtype, mountflags, data)
    row(Op::kMount) = {"tttnt"};
    // bpf_prog_load(prog_type, insns, license)
    row(Op::kBpfProgLoad) = {"nBt", true};
    // bpf_prog_attach(target_fd, attach_bpf_fd, attach_type, attach_flags)
    row(Op::kBpfProgAttach) = {"ffnn"};
    // streams(terminal_input, kept)
    row(Op::kStreams) = {"nn"};
    // remove_cgroup(dirfd, pathname)
    row(Op::kRemoveCgroup) = {"ft"};
    // remove_unused(fd, dirfd, pathname, flags, unless)
    row(Op::kRemoveUnused) = {"fftnt"};
    // make_in_root(dirfd, pathname, mode, flags, resolve)
    row(Op::kMakeInRoot) = {"ftnnn", true};
    // netlink(fd, messages)
    row(Op::kNetlink) = {"fM"};
    // netlink_once(fd, question, messages)
    row(Op::kNetlinkOnce) = {"fMM"};
    // setsockopt(fd, level, optname, value)
    row(Op::kSetsockopt) = {"fnnn"};
    // bind(fd, family, port, address)
    row(Op::kBind) = {"fnnt"};
    // listen(fd, backlog)
    row(Op::kListen) = {"fn"};
    // if_unused(fd, other)
    row(Op::kIfUnused) = {"ff", true};
    // relay(fd, netns, targets, most, idle)
    row(Op::kRelay) = {"ffTnn"};
    // bind_free(fd, address, other, other_address)
    row(Op::kBindFree) = {"ftft"};
    // close_later(fd)
    row(Op::kCloseLater) = {"f"};
    // spawn_helper(path, argv, ready, timeout_ms)
    row(Op::kSpawnHelper) = {"tTnn", true};
    // pidfd_send_signal(pidfd, sig)
    row(Op::kPidfdSendSignal) = {"fn"};
    // ioctl_siocgifindex(fd, name)
    row(Op::kIoctlSiocgifindex) = {"ft"};
    // listen_control(dirfd, pathname)
    row(Op::kListenControl) = {"ft"};
    // record_events(fd, folder)
    row(Op::kRecordEvents) = {"ff"};
    // pidfd_open(pid, birth)
    row(Op::kPidfdOpen) = {"tt", true};
    // fstatfs(fd, f_type)
    row(Op::kFstatfs) = {"fn"};
    // log_files(dirfd, max_size, max_files)
    row(Op::kLogFiles) = {"fnn"};
    // log_journal(pathname, name, id)
    row(Op::kLogJournal) = {"ttt"};
    // log_none()
    row(Op::kLogNone) = {""};
    // write_given(fd, index)
    row(Op::kWriteGiven) = {"fn"};
    // follow_names(dirfd, hosts, own)
    row(Op::kFollowNames) = {"fft"};
    // make_init()
    row(Op::kMakeInit) = {"", true};
    // become_init(program)
    row(Op::kBecomeInit) = {"f"};
    // write_limits(dirfd, pathname)
    row(Op::kWriteLimits) = {"ft"};
    // pass_sockets(count)
    row(Op::kPassSockets) = {"n"};
    // watch_tables(fd, question)
    row(Op::kWatchTables) = {"fM"};
    // watch_addresses(fd, table, set4, set6)
    row(Op::kWatchAddresses) = {"fttt"};
    // readahead(dirfd, pathname, count)
    row(Op::kReadahead) = {"fTn"};
    // unpack(dirfd, offset, size, flags, max_bytes, max_entries, owners)
    row(Op::kUnpack) = {"fnnnnnt", false, true};
    // ingest(dirfd, pathname, offset, size, flags, max_bytes)
    row(Op::kIngest) = {"ftnnnn", false, true};
    // index(dirfd, pathname, data, offset, size, flags, max_bytes, max_entries, owners)
    row(Op::kIndex) = {"fttnnnnnt", false, true};
    // scan()
    row(Op::kScan) = {"", false, true};
    // inspect(dirfd, files, paths)
    row(Op::kInspect) = {"fTT", false, true};
    // copy(dirfd, to)
    row(Op::kCopy) = {"ff", false, true};
    // extract(dirfd, paths, max_bytes)
    row(Op::kExtract) = {"fTn", false, true};
    // compress(offset, size, flags, level)
    row(Op::kCompress) = {"nnnn", false, true};
    // pack(dirfd, flags, left_out)
    row(Op::kPack) = {"fnT", false, true};
    // send_files(dirfd, pathname, name, flags)
    row(Op::kSendFiles) = {"fttn", false, true};
    // take_files(dirfd, pathname, name, flags)
    row(Op::kTakeFiles) = {"fttn", false, true};
    // list_changes(dirfd, other)
    row(Op::kListChanges) = {"ff", false, true};
  }
};
inline constexpr CallTable kCalls;

}  // namespace boxctl
