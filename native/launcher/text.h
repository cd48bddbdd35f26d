// The texts of a plan as system calls take them.
#pragma once

#include "../shared/list.h"
#include "calls.h"

namespace boxctl {

// Where texts with `$ID`, `$TARGET`, `$TARGET_BIRTH`, `$CGROUP`, `$CHILD`, `$BIRTH`, `$MOUNTS`, `$SELF`, `$OWNER`,
// `$FD(slot)`, `$PID(slot)` or `$BIRTH(slot)` are completed. No call has more than four.
class Texts {
 public:
  explicit Texts(const Context& context) : context_(context) {}

  // Null when the completed text does not fit.
  const char* complete(const Text& text);

 private:
  // The descriptor in the slot whose number is at `at`; -1 where there is none. `rest` is after the closing
  // parenthesis.
  int descriptor(const char* at, char*& rest) const;

  const Context& context_;
  unsigned used_ = 0;
  char buffers_[4][4096];
};

// A NULL-terminated array of strings, as execve(2) wants it.
class StringArray {
 public:
  StringArray(const Context& context, const Arg& arg) : ok_(fill(context, arg)) {}
  // False: a text could not be completed, or there is no memory left.
  bool ok() const { return ok_; }
  char* const* get() const { return entries_.begin(); }

 private:
  bool fill(const Context& context, const Arg& arg);
  bool add(const char* text);
  bool add_completed(const Context& context, const Text& text);

  List<char> text_;
  List<char*> entries_;
  const bool ok_;
};

}  // namespace boxctl
