// `boxctl`: starts a container by a plan that was kept from an earlier start, where everything that the plan was made
// from is as it was. In every other case, and whenever in doubt, Node is executed with the same arguments.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "../shared/fd.h"
#include "../shared/list.h"
#include "../shared/sealed.h"
#include "background.h"
#include "claim.h"
#include "kept.h"
#include "launch.h"
#include "program.h"

namespace {

using boxctl::Fd;
using boxctl::Kept;
using boxctl::List;
using boxctl::Path;
using boxctl::Program;
using boxctl::Record;

constexpr int kFailed = 125;
// src/cli/main.ts and src/cli/front.ts.
constexpr char kFiles[] = "--files=%llu";
constexpr char kFromFront[] = "--from-front";
constexpr char kEnded[] = "--ended";
// With fewer, Node aborts (13), or boxctl has none left for its own files (18).
constexpr rlim_t kNodeFiles = 20;
constexpr int kReaderGone = 141;
constexpr int kRecordsFd = 3;
constexpr int kEndedPlanFd = 4;
constexpr int kEndedClaimFd = 5;

[[noreturn]] void fail(const char* message) {
  if (write(STDERR_FILENO, message, strlen(message)) < 0) _exit(kFailed);
  _exit(kFailed);
}

// As a shell finds it: the first of the folders that has it.
void execute_by_path(const Program& program, char** arguments) {
  const char* at = boxctl::variable(program, "PATH");
  if (at == nullptr) at = "/usr/local/bin:/usr/bin:/bin";
  for (;;) {
    size_t size = 0;
    while (at[size] != ':' && at[size] != '\0') size++;
    char folder[PATH_MAX];
    if (size > 0 && size < sizeof folder) {
      memcpy(folder, at, size);
      folder[size] = '\0';
      Path path(folder);
      if (path.add("/node").valid()) boxctl::call(SYS_execve, path.text(), arguments, program.environment);
    }
    if (at[size] == '\0') return;
    at += size + 1;
  }
}

// Before Node is executed, which aborts where it may open too few files. Node raises the soft limit to the hard one
// itself, but its libraries are opened before. The soft limit that the caller had.
rlim_t raise_open_files() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = limit.rlim_cur;
  if (before >= kNodeFiles) return before;
  if (limit.rlim_max < kNodeFiles) {
    char text[256];
    snprintf(text, sizeof text,
             "boxctl: error: no more than %llu files may be open at a time here, and Node needs %llu\n"
             "  raise the hard limit, as root: ulimit -Hn 4096; of a service: LimitNOFILE=4096\n",
             static_cast<unsigned long long>(limit.rlim_max), static_cast<unsigned long long>(kNodeFiles));
    fail(text);
  }
  limit.rlim_cur = kNodeFiles;
  setrlimit(RLIMIT_NOFILE, &limit);
  return before;
}

// Node is told what the soft limit of open files was: the container gets that.
// `word`: why; null: the plan that is kept serves the next start all the same. `given_up`: the id of a container in the
// background that was not started.
[[noreturn]] void execute_node(const Program& program, const Path& folder, const char* word,
                               const char* given_up = nullptr) {
  Path script = folder;
  Path first(word != nullptr ? word : "");
  if (given_up != nullptr) first.add("=").add(given_up);
  char files[sizeof kFiles + 20];
  snprintf(files, sizeof files, kFiles, static_cast<unsigned long long>(raise_open_files()));
  List<char*> arguments;
  bool fits = script.add("/boxctl.cjs").valid() && arguments.add(const_cast<char*>("node"));
  fits = fits && arguments.add(const_cast<char*>(script.text())) && arguments.add(files);
  if (word != nullptr) fits = fits && arguments.add(const_cast<char*>(first.text()));
  for (int i = 1; i <= program.count && fits; i++) fits = arguments.add(program.arguments[i]);
  if (fits && boxctl::call(SYS_faccessat, AT_FDCWD, script.text(), F_OK) == -ENOENT) {
    fail(
        "boxctl: its other files are not beside it: a copy of the program alone does not run, but a link to it does\n");
  }
  if (fits) execute_by_path(program, arguments.begin());
  fail("boxctl: needs Node 20 or newer, and PATH has no `node`\n");
}

bool may_start(const Program& program) {
  if (program.count < 2) return false;
  const char* const command = program.arguments[1];
  return strcmp(command, "up") == 0 || strcmp(command, "run") == 0 || strcmp(command, "exec") == 0;
}

// Where one of them is closed, a file that is opened here would take its place. Node opens /dev/null in its stead.
bool has_standard_files() {
  for (int fd = 0; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0) return false;
  }
  return true;
}

// Whether nothing is there that Node has to tell of, or to do before.
bool is_free(const Kept& kept) {
  return kept.command != nullptr ? boxctl::is_alive(kept) : !boxctl::has_leftovers(kept);
}

// A container's name to standard output. The exit status.
int tell_name(const char* name) {
  List<char> line;
  if (!line.add(name, strlen(name)) || !line.add('\n')) return kFailed;
  for (size_t done = 0; done < line.size();) {
    const ssize_t wrote = write(STDOUT_FILENO, line.begin() + done, line.size() - done);
    if (wrote < 0 && errno == EPIPE) return kReaderGone;
    pollfd wait = {STDOUT_FILENO, POLLOUT, 0};
    if (wrote < 0 && errno == EAGAIN && poll(&wait, 1, -1) >= 0) continue;
    if (wrote < 0) fail("boxctl: error: the container runs, and its name cannot be written to standard output\n");
    done += static_cast<size_t>(wrote);
  }
  return 0;
}

// In the words of src/container/bring-up.ts.
void tell_same(const char* name) {
  char text[512];
  const int size = snprintf(text, sizeof text, "boxctl: %s runs already, and its file has not changed\n", name);
  if (write(STDERR_FILENO, text, static_cast<size_t>(size)) < 0) return;
}

boxctl::PlanHeader header_of(const Kept& kept) {
  boxctl::PlanHeader header;
  memcpy(&header, kept.plan, sizeof header);
  return header;
}

bool waits_for_word(const Kept& kept) { return (header_of(kept).flags & boxctl::kFlagHeld) != 0; }

// Of standard input, where the container gets it as its terminal. A launcher that is killed leaves it as it was for
// that.
class SavedTerminal {
 public:
  // False: it should be one, and is not.
  bool save(const Kept& kept) {
    const boxctl::PlanHeader header = header_of(kept);
    if (header.terminal == boxctl::kNoSlot || (header.flags & boxctl::kFlagTerminalStdin) == 0) return true;
    saved_ = tcgetattr(STDIN_FILENO, &state_) == 0;
    return saved_;
  }
  void restore() const {
    if (saved_) tcsetattr(STDIN_FILENO, TCSADRAIN, &state_);
  }

 private:
  termios state_ = {};
  bool saved_ = false;
};

// Executes Node to tell of what the launcher has recorded.
[[noreturn]] void execute_teller(const Program& program, const Path& folder, const List<Record>& records, int plan,
                                 int claim, const char* given_up = nullptr) {
  const Fd told = boxctl::seal("boxctl-records", records.begin(), records.size() * sizeof(Record));
  // Beyond the numbers that they get, which one of them may have.
  const int ended[][2] = {{told.get(), kRecordsFd}, {plan, kEndedPlanFd}, {claim, kEndedClaimFd}};
  int moved[3] = {-1, -1, -1};
  for (int i = 0; i < 3; i++) {
    if (ended[i][0] >= 0) moved[i] = fcntl(ended[i][0], F_DUPFD_CLOEXEC, kEndedClaimFd + 1);
  }
  for (int i = 0; i < 3; i++) {
    if (ended[i][0] < 0) continue;
    if (boxctl::call(SYS_dup3, moved[i], ended[i][1], 0) < 0) {
      fail("boxctl: the container has ended, and there is no memory to tell how\n");
    }
  }
  execute_node(program, folder, kEnded, given_up);
}

// Node beside a container that goes on.
class NodeTeller final : public boxctl::Teller {
 public:
  NodeTeller(const Program& program, const Path& folder, const boxctl::Launch& launch, const sigset_t& signals)
      : program_(program), folder_(folder), launch_(launch), signals_(signals) {}

  pid_t tell(const List<Record>& records) const override {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    sigprocmask(SIG_SETMASK, &signals_, nullptr);
    execute_teller(program_, folder_, records, launch_.plan.get(), launch_.claim);
  }

 private:
  const Program& program_;
  const Path& folder_;
  const boxctl::Launch& launch_;
  const sigset_t& signals_;
};

}  // namespace

int main() {
  const Program program = boxctl::this_program();
  const Path folder = boxctl::own_folder();
  // In the words of src/host/gather.ts: without /proc, the files beside this program cannot be found.
  if (!folder.valid() || folder.text()[0] == '\0') {
    fail(
        "boxctl: error: there is no /proc here, from which boxctl reads who it is and what this host can do\n"
        "  mount it: mount -t proc proc /proc\n");
  }
  Kept kept;
  SavedTerminal terminal;
  boxctl::Background background;
  if (!may_start(program) || !has_standard_files() || !boxctl::find_kept(program, folder, kept) ||
      !boxctl::read_plan(kept)) {
    execute_node(program, folder, kFromFront);
  }
  // A launcher that waits before it changes anything outside begins meanwhile, unless addresses are claimed before.
  const bool waits = waits_for_word(kept);
  const bool ahead = waits && kept.numbers.size() == 0;
  if (!ahead && !boxctl::still_holds(kept)) execute_node(program, folder, kFromFront);
  using Claim = boxctl::Background::Claim;
  const Claim claim = kept.in_background() ? background.claim(kept) : Claim::kTaken;
  const bool ready = kept.in_background() ? claim != Claim::kNode : terminal.save(kept);
  if (!ready || (!ahead && !is_free(kept))) execute_node(program, folder, nullptr);
  boxctl::AddressClaim addresses;
  const bool starts = kept.command == nullptr && claim != Claim::kSame;
  if (starts && kept.numbers.size() > 0 && !addresses.take(kept)) execute_node(program, folder, kFromFront);

  // From now on no signal ends this process before the container.
  sigset_t before;
  sigset_t caught;
  sigfillset(&caught);
  sigdelset(&caught, SIGCHLD);
  sigprocmask(SIG_SETMASK, &caught, &before);
  if (claim == Claim::kSame) {
    tell_same(kept.container);
    return tell_name(kept.container);
  }
  const Fd signals(signalfd(-1, &caught, SFD_CLOEXEC));
  boxctl::Launch launch;
  const bool chosen =
      signals.valid() && (kept.command != nullptr || (boxctl::complete_plan(kept) && boxctl::choose_id(kept)));
  if (!chosen || (kept.in_background() && !background.make(kept))) {
    addresses.give_up();
    sigprocmask(SIG_SETMASK, &before, nullptr);
    execute_node(program, folder, kFromFront);
  }
  const char* const given_up = kept.in_background() ? kept.id : nullptr;
  launch.lock = background.lock();
  launch.claim = addresses.fd();
  if (boxctl::start_launcher(kept, folder, launch) != 0) {
    addresses.give_up();
    if (kept.in_background()) background.give_up(kept);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    execute_node(program, folder, kFromFront, given_up);
  }
  if (ahead) {
    const bool holds = boxctl::still_holds(kept);
    if (!holds || !is_free(kept)) {
      boxctl::refuse(launch);
      sigprocmask(SIG_SETMASK, &before, nullptr);
      execute_node(program, folder, holds ? nullptr : kFromFront);
    }
  }
  if (waits) boxctl::release(launch);
  const NodeTeller teller(program, folder, launch, before);
  const boxctl::Result result = boxctl::follow(kept, launch, signals.get(), teller);
  terminal.restore();
  if (result.course == boxctl::Course::kPlain) return static_cast<int>(result.status);
  if (result.course == boxctl::Course::kLeft) return tell_name(kept.container);

  if (kept.in_background()) background.give_up(kept);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (result.course == boxctl::Course::kNotRun) {
    addresses.give_up();
    execute_node(program, folder, kFromFront, given_up);
  }
  execute_teller(program, folder, result.records, launch.plan.get(), addresses.fd(), given_up);
}
