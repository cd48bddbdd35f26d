#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace boxctl {

const char* Texts::complete(const Text& text) {
  if (!text.is_template) return text.data;
  if (used_ == sizeof buffers_ / sizeof *buffers_) return nullptr;
  char* const out = buffers_[used_++];
  char* at = out;
  const char* const end = out + sizeof *buffers_ - 1;
  for (const char* from = text.data; *from != '\0';) {
    if (strncmp(from, "$ID", 3) == 0) {
      at += snprintf(at, static_cast<size_t>(end - at), "%s", context_.id);
      from += 3;
    } else if (strncmp(from, "$CHILD", 6) == 0) {
      at += snprintf(at, static_cast<size_t>(end - at), "%d", static_cast<int>(context_.child));
      from += 6;
    } else if (strncmp(from, "$OWNER", 6) == 0) {
      at += snprintf(at, static_cast<size_t>(end - at), "%d", static_cast<int>(getppid()));
      from += 6;
    } else if (strncmp(from, "$FD(", 4) == 0) {
      char* rest = nullptr;
      const unsigned long slot = strtoul(from + 4, &rest, 10);
      if (*rest != ')' || slot >= context_.slot_count || context_.slots[slot] < 0) return nullptr;
      at += snprintf(at, static_cast<size_t>(end - at), "%d", context_.slots[slot]);
      from = rest + 1;
    } else {
      *at++ = *from++;
    }
    if (at >= end) return nullptr;
  }
  *at = '\0';
  return out;
}

StringArray::StringArray(const Context& context, const Arg& arg)
    : entries_(static_cast<char**>(calloc(arg.number + 1, sizeof(char*)))) {
  if (entries_ == nullptr) return;
  Reader in(arg.list, arg.list_size);
  for (uint64_t i = 0; i < arg.number; i++) {
    const Text text = read_text(in);
    Texts texts(context);
    const char* complete = texts.complete(text);
    entries_[i] = strdup(complete == nullptr ? "" : complete);
    if (entries_[i] == nullptr || complete == nullptr) failed_ = true;
  }
}

StringArray::~StringArray() {
  for (char** at = entries_; at != nullptr && *at != nullptr; at++) free(*at);
  free(entries_);
}

}  // namespace boxctl
