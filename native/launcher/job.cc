#include "job.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../shared/directory.h"
#include "proc.h"

namespace boxctl {
namespace {

// A process may fork while its tree is walked. Its new children are found in the next round.
constexpr int kRounds = 16;

bool is_stopped(pid_t pid) {
  char path[64];
  char text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  if (read_text_file(AT_FDCWD, path, text, sizeof text) < 0) return false;
  // The name in parentheses may hold anything.
  const char* state = strrchr(text, ')');
  return state != nullptr && state[1] == ' ' && (state[2] == 'T' || state[2] == 't');
}

// Gives each child of one thread to `use`.
template <typename Use>
void for_children(pid_t pid, const char* thread, Use use) {
  char path[320];
  snprintf(path, sizeof path, "/proc/%d/task/%s/children", static_cast<int>(pid), thread);
  for_numbers(AT_FDCWD, path, use);
}

}  // namespace

bool handles_signal(pid_t pid, int signal) {
  char path[64];
  char text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", static_cast<int>(pid));
  if (read_text_file(AT_FDCWD, path, text, sizeof text) < 0) return false;
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

bool StoppedTree::add(pid_t pid) {
  for (const Stopped& known : processes_) {
    if (known.pid == pid) return false;
  }
  return processes_.add({pid, false});
}

void StoppedTree::add_children(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", static_cast<int>(pid));
  Directory threads(AT_FDCWD, path);
  if (!threads.valid()) return;
  while (const dirent* thread = threads.next()) {
    for_children(pid, thread->d_name, [this](pid_t child) { add(child); });
  }
}

void StoppedTree::stop(pid_t first) {
  if (stopped_) return;
  stopped_ = true;
  processes_.clear();
  add(first);
  size_t done = 0;
  for (int round = 0; round < kRounds; round++) {
    // Parents before children: a stopped process makes no more of them.
    for (; done < processes_.size(); done++) {
      const pid_t pid = processes_[done].pid;
      // Somebody else stopped it before: it is not continued later.
      if (!is_stopped(pid)) {
        processes_[done].by_us = true;
        kill(pid, handles_signal(pid, SIGTSTP) ? SIGTSTP : SIGSTOP);
      }
      add_children(pid);
    }
    for (size_t i = 0; i < done; i++) add_children(processes_[i].pid);
    if (processes_.size() == done) break;
  }
}

void StoppedTree::resume() {
  if (!stopped_) return;
  stopped_ = false;
  for (size_t i = processes_.size(); i-- > 0;) {
    if (processes_[i].by_us) kill(processes_[i].pid, SIGCONT);
  }
  processes_.clear();
}

}  // namespace boxctl
