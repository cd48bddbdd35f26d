#include "job.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../shared/fd.h"

namespace boxctl {
namespace {

// A process that forks on and on while it is being looked for is stopped in the second round, or the third.
constexpr int kRounds = 16;

// Reads a small text file of the kernel. False when it is not there.
bool read_text_file(const char* path, char* text, size_t size) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return false;
  const ssize_t got = read(file.get(), text, size - 1);
  if (got < 0) return false;
  text[got] = '\0';
  return true;
}

bool is_stopped(pid_t pid) {
  char path[64];
  char text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  if (!read_text_file(path, text, sizeof text)) return false;
  // The name in parentheses may hold anything.
  const char* state = strrchr(text, ')');
  return state != nullptr && state[1] == ' ' && (state[2] == 'T' || state[2] == 't');
}

// Gives each child of one thread to `use`.
template <typename Use>
void for_children(pid_t pid, const char* thread, Use use) {
  char path[320];
  snprintf(path, sizeof path, "/proc/%d/task/%s/children", static_cast<int>(pid), thread);
  FILE* const file = fopen(path, "re");
  if (file == nullptr) return;
  for (int child = 0; fscanf(file, "%d", &child) == 1;) use(static_cast<pid_t>(child));
  fclose(file);
}

}  // namespace

bool handles_signal(pid_t pid, int signal) {
  char path[64];
  char text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", static_cast<int>(pid));
  if (!read_text_file(path, text, sizeof text)) return false;
  const char* line = strstr(text, "\nSigCgt:");
  if (line == nullptr) return false;
  const unsigned long long handled = strtoull(line + strlen("\nSigCgt:"), nullptr, 16);
  return (handled >> (signal - 1) & 1) != 0;
}

pid_t eldest_child(pid_t pid) {
  char thread[16];
  snprintf(thread, sizeof thread, "%d", static_cast<int>(pid));
  pid_t eldest = -1;
  for_children(pid, thread, [&eldest](pid_t child) {
    if (eldest < 0) eldest = child;
  });
  return eldest;
}

StoppedTree::~StoppedTree() { free(pids_); }

bool StoppedTree::add(pid_t pid) {
  for (size_t i = 0; i < count_; i++) {
    if (abs(pids_[i]) == pid) return false;
  }
  if (count_ == room_) {
    const size_t room = room_ == 0 ? 64 : 2 * room_;
    auto* const grown = static_cast<pid_t*>(realloc(pids_, room * sizeof(pid_t)));
    if (grown == nullptr) return false;
    pids_ = grown;
    room_ = room;
  }
  pids_[count_++] = pid;
  return true;
}

void StoppedTree::add_children(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", static_cast<int>(pid));
  DIR* const threads = opendir(path);
  if (threads == nullptr) return;
  while (const dirent* thread = readdir(threads)) {
    if (thread->d_name[0] == '.') continue;
    for_children(pid, thread->d_name, [this](pid_t child) { add(child); });
  }
  closedir(threads);
}

void StoppedTree::stop(pid_t first) {
  if (stopped_) return;
  stopped_ = true;
  count_ = 0;
  add(first);
  size_t done = 0;
  for (int round = 0; round < kRounds; round++) {
    // Parents before children: who is stopped makes no more of them.
    for (; done < count_; done++) {
      const pid_t pid = pids_[done];
      // What was stopped before by somebody else stays so later.
      const int signal = is_stopped(pid) ? 0 : handles_signal(pid, SIGTSTP) ? SIGTSTP : SIGSTOP;
      if (signal == 0) pids_[done] = -pid;
      kill(pid, signal);
      add_children(pid);
    }
    const size_t before = count_;
    for (size_t i = 0; i < before; i++) add_children(abs(pids_[i]));
    if (count_ == before) break;
  }
}

void StoppedTree::resume() {
  if (!stopped_) return;
  stopped_ = false;
  for (size_t i = count_; i-- > 0;) {
    if (pids_[i] > 0) kill(pids_[i], SIGCONT);
  }
  count_ = 0;
}

}  // namespace boxctl
