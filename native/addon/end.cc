#include "end.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "../shared/birth.h"
#include "../shared/directory.h"
#include "../shared/namespace_id.h"
#include "../shared/syscalls.h"
#include "result.h"

namespace boxctl {
namespace {

// How long a killed process is waited for: it may have much memory to give back.
constexpr int kPatienceMs = 5000;
// Rounds through all processes: a container that goes on forking is overtaken.
constexpr int kRounds = 2000;

// Kills the members that can be seen now; the number of those that were there.
int kill_members(uint64_t id) {
  Directory processes(AT_FDCWD, "/proc");
  if (!processes.valid()) return 0;
  int found = 0;
  while (const dirent* entry = processes.next()) {
    char* end = nullptr;
    const long pid = strtol(entry->d_name, &end, 10);
    if (*end != '\0' || pid <= 1) continue;
    // Through a pidfd: another process may get the same number before the signal is sent.
    const Fd process(static_cast<int>(syscall(kSysPidfdOpen, pid, 0)));
    if (!process.valid() || mount_namespace_id(static_cast<pid_t>(pid)) != id) continue;
    pollfd ended = {process.get(), POLLIN, 0};
    if (poll(&ended, 1, 0) > 0) continue;
    found++;
    syscall(kSysPidfdSendSignal, process.get(), SIGKILL, nullptr, 0);
  }
  return found;
}

}  // namespace

Napi::Value end_process(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int pid = info[0].As<Napi::Number>().Int32Value();
  const std::string born = info[1].As<Napi::String>().Utf8Value();
  const Fd process(static_cast<int>(syscall(kSysPidfdOpen, pid, 0)));
  if (!process.valid()) return Napi::Boolean::New(env, errno == ESRCH);
  char found[kBirthSize];
  // Read while the pidfd holds the process: a later one of the same number has another birth.
  if (!birth_of(pid, found) || born != found) return Napi::Boolean::New(env, true);
  if (syscall(kSysPidfdSendSignal, process.get(), SIGKILL, nullptr, 0) != 0) {
    return Napi::Boolean::New(env, errno == ESRCH);
  }
  pollfd ended = {process.get(), POLLIN, 0};
  return Napi::Boolean::New(env, poll(&ended, 1, kPatienceMs) > 0);
}

Napi::Value signal_process(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int pid = info[0].As<Napi::Number>().Int32Value();
  const std::string born = info[1].As<Napi::String>().Utf8Value();
  const int signal = info[2].As<Napi::Number>().Int32Value();
  const Fd process(static_cast<int>(syscall(kSysPidfdOpen, pid, 0)));
  char found[kBirthSize];
  if (!process.valid() || !birth_of(pid, found) || born != found) return Napi::Boolean::New(env, false);
  if (syscall(kSysPidfdSendSignal, process.get(), signal, nullptr, 0) == 0) return Napi::Boolean::New(env, true);
  if (errno != ESRCH) return fail(env, "pidfd_send_signal", errno);
  return Napi::Boolean::New(env, false);
}

Napi::Value end_namespace(const Napi::CallbackInfo& info) {
  const uint64_t id = strtoull(info[0].As<Napi::String>().Utf8Value().c_str(), nullptr, 10);
  // The host's own namespace: every process would be killed.
  if (id == 0 || id == mount_namespace_id(getpid())) return Napi::Boolean::New(info.Env(), true);
  for (int round = 0; round < kRounds; round++) {
    if (kill_members(id) == 0) return Napi::Boolean::New(info.Env(), true);
    const timespec pause = {0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
  return Napi::Boolean::New(info.Env(), false);
}

}  // namespace boxctl
