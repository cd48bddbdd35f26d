#include "text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shared/birth.h"
#include "../shared/namespace_id.h"

namespace boxctl {

namespace {

// A text of bounded length in the making. What does not fit is an error that is asked for once, at the end.
class Completed {
 public:
  Completed(char* out, size_t room) : out_(out), room_(room) {}

  void put(const char* data, size_t size) {
    // One byte stays free for the NUL.
    if (size >= room_ - size_) {
      fits_ = false;
      return;
    }
    memcpy(out_ + size_, data, size);
    size_ += size;
  }
  void put(int number) {
    char digits[16];
    put(digits, static_cast<size_t>(snprintf(digits, sizeof digits, "%d", number)));
  }
  // Null where it did not fit.
  const char* finish() {
    out_[size_] = '\0';
    return fits_ ? out_ : nullptr;
  }

 private:
  char* out_;
  size_t room_;
  size_t size_ = 0;
  bool fits_ = true;
};

// The process of a pidfd; -1 where /proc does not tell.
pid_t pid_of(int pidfd) {
  char path[64];
  char text[512];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t got = file.valid() ? read(file.get(), text, sizeof text - 1) : -1;
  if (got <= 0) return -1;
  text[got] = '\0';
  const char* line = strstr(text, "\nPid:");
  return line == nullptr ? -1 : static_cast<pid_t>(strtol(line + strlen("\nPid:"), nullptr, 10));
}

// The path of this process in the version 2 hierarchy; 0: /proc does not tell.
size_t own_cgroup(char* out, size_t room) {
  const Fd file(open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC));
  const ssize_t got = file.valid() ? read(file.get(), out, room - 1) : -1;
  if (got <= 0) return 0;
  out[got] = '\0';
  const char* line = strncmp(out, "0::", 3) == 0 ? out : strstr(out, "\n0::");
  line = line == nullptr ? nullptr : strchr(line, '/');
  if (line == nullptr) return 0;
  const size_t length = strcspn(line, "\n");
  memmove(out, line, length);
  return length;
}

}  // namespace

int Texts::descriptor(const char* at, char*& rest) const {
  const unsigned long slot = strtoul(at, &rest, 10);
  if (*at < '0' || *at > '9' || *rest != ')' || slot >= context_.slot_count) return -1;
  rest++;
  return context_.slots[slot];
}

const char* Texts::complete(const Text& text) {
  if (!text.is_template) return text.data;
  if (used_ == sizeof buffers_ / sizeof *buffers_) return nullptr;
  Completed out(buffers_[used_++], sizeof *buffers_);
  for (const char* from = text.data; *from != '\0';) {
    if (strncmp(from, "$$", 2) == 0) {
      out.put("$", 1);
      from += 2;
    } else if (strncmp(from, "$ID", 3) == 0) {
      out.put(context_.id, strlen(context_.id));
      from += 3;
    } else if (strncmp(from, "$TARGET_BIRTH", 13) == 0) {
      char born[kBirthSize];
      if (context_.target <= 0 || !birth_of(context_.target, born)) return nullptr;
      out.put(born, strlen(born));
      from += 13;
    } else if (strncmp(from, "$TARGET", 7) == 0) {
      out.put(static_cast<int>(context_.target));
      from += 7;
    } else if (strncmp(from, "$CGROUP", 7) == 0) {
      char own[4096];
      const size_t length = own_cgroup(own, sizeof own);
      if (length == 0) return nullptr;
      out.put(own, length);
      from += 7;
    } else if (strncmp(from, "$CHILD", 6) == 0) {
      out.put(static_cast<int>(context_.child));
      from += 6;
    } else if (strncmp(from, "$PID(", 5) == 0 || strncmp(from, "$BIRTH(", 7) == 0) {
      const bool number = from[1] == 'P';
      char* rest = nullptr;
      const pid_t pid = pid_of(descriptor(from + (number ? 5 : 7), rest));
      char born[kBirthSize];
      if (pid <= 0 || !birth_of(pid, born)) return nullptr;
      if (number) {
        out.put(static_cast<int>(pid));
      } else {
        out.put(born, strlen(born));
      }
      from = rest;
    } else if (strncmp(from, "$BIRTH", 6) == 0) {
      char born[kBirthSize];
      if (!birth_of(context_.child, born)) return nullptr;
      out.put(born, strlen(born));
      from += 6;
    } else if (strncmp(from, "$MOUNTS", 7) == 0) {
      char digits[24];
      const auto id = static_cast<unsigned long long>(mount_namespace_id(context_.child));
      out.put(digits, static_cast<size_t>(snprintf(digits, sizeof digits, "%llu", id)));
      from += 7;
    } else if (strncmp(from, "$SELF", 5) == 0) {
      out.put(static_cast<int>(getpid()));
      from += 5;
    } else if (strncmp(from, "$OWNER", 6) == 0) {
      out.put(static_cast<int>(getppid()));
      from += 6;
    } else if (strncmp(from, "$FD(", 4) == 0) {
      char* rest = nullptr;
      const int fd = descriptor(from + 4, rest);
      if (fd < 0) return nullptr;
      out.put(fd);
      from = rest;
    } else {
      out.put(from++, 1);
    }
  }
  return out.finish();
}

bool StringArray::fill(const Context& context, const Arg& arg) {
  Reader in(arg.list, arg.list_size);
  for (uint64_t i = 0; i < arg.number; i++) {
    const Text text = read_text(in);
    if (!(text.is_template ? add_completed(context, text) : add(text.data))) return false;
  }
  // Only now does the text lie where it stays.
  char* at = text_.begin();
  for (uint64_t i = 0; i < arg.number; i++, at += strlen(at) + 1) {
    if (!entries_.add(at)) return false;
  }
  return entries_.add(nullptr);
}

bool StringArray::add(const char* text) { return text_.add(text, strlen(text) + 1); }

[[gnu::noinline]] bool StringArray::add_completed(const Context& context, const Text& text) {
  Texts texts(context);
  const char* const complete = texts.complete(text);
  return complete != nullptr && add(complete);
}

}  // namespace boxctl
