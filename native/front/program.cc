#include "program.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "../libc/start.h"

namespace boxctl {

Program this_program() {
  const uintptr_t* stack = libc::initial_stack();
  Program program;
  program.count = static_cast<int>(stack[0]);
  program.arguments = reinterpret_cast<char**>(const_cast<uintptr_t*>(stack + 1));
  program.environment = program.arguments + program.count + 1;
  return program;
}

const char* variable(const Program& program, const char* name) {
  const size_t size = strlen(name);
  for (char** at = program.environment; *at != nullptr; at++) {
    if (strncmp(*at, name, size) == 0 && (*at)[size] == '=') return *at + size + 1;
  }
  return nullptr;
}

Path& Path::add(const char* text) {
  const size_t more = strlen(text);
  if (size_ + more >= sizeof text_) {
    valid_ = false;
    return *this;
  }
  memcpy(text_ + size_, text, more + 1);
  size_ += more;
  return *this;
}

Path& Path::trim() {
  while (size_ > 0 && text_[size_ - 1] == '/') text_[--size_] = '\0';
  return *this;
}

Path& Path::leave() {
  while (size_ > 0 && text_[size_ - 1] != '/') text_[--size_] = '\0';
  return trim();
}

Path own_folder() {
  char text[PATH_MAX];
  const ssize_t size = readlinkat(AT_FDCWD, "/proc/self/exe", text, sizeof text - 1);
  if (size <= 0) return Path();
  text[size] = '\0';
  return Path(text).leave();
}

}  // namespace boxctl
