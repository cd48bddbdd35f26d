// What tells a process from every other that has, had or will have its number: the time at which it started, counted in
// the kernel's ticks since this start of the machine, and the process namespace that numbers it.
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

namespace boxctl {

inline constexpr size_t kBirthSize = 128;

namespace birth {

inline bool read_line(const char* path, char* text, size_t size) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return false;
  const ssize_t got = read(file.get(), text, size - 1);
  if (got <= 0) return false;
  text[got] = '\0';
  text[strcspn(text, "\n")] = '\0';
  return true;
}

}  // namespace birth

// `START-BOOT-NAMESPACE`. False where /proc does not tell, or there is no such process.
inline bool birth_of(pid_t pid, char (&out)[kBirthSize]) {
  char path[64];
  char stat_line[1024];
  char boot[64];
  struct stat numbering;
  snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  if (!birth::read_line(path, stat_line, sizeof stat_line)) return false;
  if (!birth::read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot)) return false;
  if (stat("/proc/self/ns/pid", &numbering) != 0) return false;
  // The name in parentheses may hold anything; the start is the 20th field after it (proc_pid_stat(5)).
  const char* at = strrchr(stat_line, ')');
  for (int field = 0; at != nullptr && field < 20; field++) at = strchr(at + 1, ' ');
  if (at == nullptr) return false;
  const auto digits = static_cast<int>(strspn(at + 1, "0123456789"));
  const int size =
      snprintf(out, sizeof out, "%.*s-%s-%lu", digits, at + 1, boot, static_cast<unsigned long>(numbering.st_ino));
  return digits > 0 && size < static_cast<int>(sizeof out);
}

}  // namespace boxctl
