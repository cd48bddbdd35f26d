#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "foreign.h"

namespace boxctl::image {
namespace {

void put_text(FILE* out, const char* text) {
  putc('"', out);
  for (; *text != 0; text++) {
    const auto byte = static_cast<unsigned char>(*text);
    if (byte == '"' || byte == '\\') {
      fprintf(out, "\\%c", byte);
    } else if (byte < 0x20 || byte == 0x7f) {
      fprintf(out, "\\u%04x", byte);
    } else {
      putc(byte, out);
    }
  }
  putc('"', out);
}

}  // namespace

Report::Report() : out_(open_memstream(&text_, &size_)) {
  if (out_ == nullptr) _exit(1);
  putc('{', out_);
}

Report::~Report() {
  if (out_ != nullptr) fclose(out_);
  free(text_);
}

void Report::key(const char* name) {
  fprintf(out_, "%s\"%s\":", first_ ? "" : ",", name);
  first_ = false;
}

void Report::number(const char* name, uint64_t value) {
  key(name);
  fprintf(out_, "%llu", static_cast<unsigned long long>(value));
}

void Report::text(const char* name, const char* value) {
  key(name);
  put_text(out_, value);
}

void Report::flag(const char* name) {
  key(name);
  fputs("true", out_);
}

void Report::open_list(const char* name) {
  key(name);
  putc('[', out_);
  first_item_ = true;
}

void Report::item(const char* value) {
  if (!first_item_) putc(',', out_);
  first_item_ = false;
  put_text(out_, value);
}

void Report::close_list() { putc(']', out_); }

void Report::send(int fd) {
  fputs("}\n", out_);
  fclose(out_);
  out_ = nullptr;
  for (size_t done = 0; done < size_;) {
    const ssize_t wrote = write(fd, text_ + done, size_ - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    done += static_cast<size_t>(wrote);
  }
}

void report_failure(const Failure& failure, const char* entry, bool image) {
  Report report;
  const char* const hint = foreign::advice(failure.sentence);
  if (hint != nullptr) report.text("hint", hint);
  if (image) report.flag("image");
  report.text("error", failure.sentence);
  report.text("entry", entry);
  report.number("errno", static_cast<uint64_t>(failure.number));
  report.send();
}

}  // namespace boxctl::image
