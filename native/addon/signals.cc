#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>

#include "../shared/fd.h"
#include "../wire/events.h"

namespace boxctl {
namespace {

constexpr int kLast = 64;
// SIGRTMIN of the kernel's: the C library keeps these for its threads.
constexpr int kThreadSignals[] = {32, 33};

// What the handler looks at; it may run in any thread, at any time.
std::atomic<int> launcher_socket{-1};
std::atomic<int> launcher_pid{-1};
std::atomic<uint64_t> kept{0};
bool ignores_hangup = false;
bool caught[kLast + 1] = {};
struct sigaction before[kLast + 1];

bool is_fault(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGTRAP ||
         signal == SIGSYS;
}

// SIGCHLD is about this process's own children.
bool can_be_passed(int signal) {
  for (const int own : kThreadSignals) {
    if (signal == own) return false;
  }
  return signal != SIGKILL && signal != SIGSTOP && signal != SIGCHLD;
}

void tell(int signal) {
  const int socket = launcher_socket.load();
  if (socket < 0) {
    kept.fetch_or(1ULL << (signal - 1));
    return;
  }
  const Order order = {kOrderSignal, static_cast<uint32_t>(signal)};
  send(socket, &order, sizeof order, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void handle(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const bool by_kernel = info->si_code > 0;
  if (is_fault(signal) && by_kernel) {
    // A fault of this process's own comes again, and ends it as it would have without us.
    sigaction(signal, &before[signal], nullptr);
    errno = error;
    return;
  }
  // This process sends some to itself: SIGPIPE with an error that tells of it, SIGABRT to end.
  const bool by_itself = !by_kernel && info->si_pid == getpid();
  if (!by_itself && !(signal == SIGHUP && ignores_hangup)) {
    const bool stops = signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    // The launcher stops the whole job where it needs the terminal: the container is not stopped by that.
    if (!stops || by_kernel || info->si_pid != launcher_pid.load()) tell(signal);
    if (signal == SIGWINCH && before[signal].sa_handler != SIG_DFL && before[signal].sa_handler != SIG_IGN) {
      if (before[signal].sa_flags & SA_SIGINFO) {
        before[signal].sa_sigaction(signal, info, context);
      } else {
        before[signal].sa_handler(signal);
      }
    }
    if (stops) kill(getpid(), SIGSTOP);
  }
  errno = error;
}

// SigIgn of another process, by /proc/PID/status.
bool ignores(pid_t pid, int signal) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", static_cast<int>(pid));
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = file.valid() ? read(file.get(), text, sizeof text - 1) : -1;
  if (size <= 0) return false;
  text[size] = '\0';
  const char* line = strstr(text, "\nSigIgn:");
  return line != nullptr && (strtoull(line + strlen("\nSigIgn:"), nullptr, 16) >> (signal - 1) & 1) != 0;
}

const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

// What nohup(1) leaves of a terminal for input: /dev/null, open for writing alone.
bool has_input_of_nohup() {
  struct stat status;
  return fstat(STDIN_FILENO, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3) &&
         (fcntl(STDIN_FILENO, F_GETFL) & O_ACCMODE) == O_WRONLY;
}

bool has_output_of_nohup() {
  char target[4096];
  const ssize_t size = readlink("/proc/self/fd/1", target, sizeof target - 1);
  if (size <= 0) return false;
  target[size] = '\0';
  return strcmp(base_name(target), "nohup.out") == 0;
}

// Node takes ignored signals back at its start, so that only traces tell of nohup(1): a shell that was started by it is
// the parent, the shell's word for the program, and what it makes of a terminal.
bool was_started_by_nohup() {
  const char* program = getenv("_");
  return (program != nullptr && strcmp(base_name(program), "nohup") == 0) || has_input_of_nohup() ||
         has_output_of_nohup() || ignores(getppid(), SIGHUP);
}

}  // namespace

Napi::Value catch_signals(const Napi::CallbackInfo& info) {
  bool wanted[kLast + 1] = {};
  for (int signal = 1; signal <= kLast; signal++) wanted[signal] = can_be_passed(signal);
  const auto except = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < except.Length(); i++) {
    const int signal = except.Get(i).As<Napi::Number>().Int32Value();
    if (signal >= 1 && signal <= kLast) wanted[signal] = false;
  }
  ignores_hangup = was_started_by_nohup();
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  for (int signal = 1; signal <= kLast; signal++) {
    if (wanted[signal] && !caught[signal]) caught[signal] = sigaction(signal, &action, &before[signal]) == 0;
  }
  return info.Env().Undefined();
}

Napi::Value pass_signals(const Napi::CallbackInfo& info) {
  // A copy of our own, which stays open: a handler may be about to write to it at any time.
  const int copy = fcntl(info[0].As<Napi::Number>().Int32Value(), F_DUPFD_CLOEXEC, 3);
  launcher_pid = info[1].As<Napi::Number>().Int32Value();
  launcher_socket = copy;
  const uint64_t earlier = kept.exchange(0);
  for (int signal = 1; copy >= 0 && signal <= kLast; signal++) {
    if (earlier >> (signal - 1) & 1) tell(signal);
  }
  return info.Env().Undefined();
}

Napi::Value release_signals(const Napi::CallbackInfo& info) {
  launcher_socket = -1;
  for (int signal = 1; signal <= kLast; signal++) {
    if (caught[signal]) sigaction(signal, &before[signal], nullptr);
    caught[signal] = false;
  }
  return info.Env().Undefined();
}

}  // namespace boxctl
