// This program as it was started: its arguments, its environment, and the files that lie beside it.
#pragma once

#include <limits.h>
#include <stddef.h>

namespace boxctl {

struct Program {
  int count = 0;  // of arguments, with the name of the program
  char** arguments = nullptr;
  char** environment = nullptr;
};

Program this_program();

// The first value of a variable; null where it is not set.
const char* variable(const Program& program, const char* name);

// A path of at most PATH_MAX bytes. What does not fit makes it invalid.
class Path {
 public:
  Path() { text_[0] = '\0'; }
  explicit Path(const char* text) : Path() { add(text); }
  Path& add(const char* text);
  // Without slashes at its end.
  Path& trim();
  // Up to the last slash.
  Path& leave();
  bool valid() const { return valid_; }
  const char* text() const { return text_; }

 private:
  char text_[PATH_MAX];
  size_t size_ = 0;
  bool valid_ = true;
};

// The folder that this program lies in, by its real path.
Path own_folder();

}  // namespace boxctl
