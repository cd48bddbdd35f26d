#include <stdint.h>
#include <stdio.h>
#include <string.h>

namespace boxctl::libc {
namespace {

// Counts what does not fit, too.
class Output {
 public:
  Output(char* out, size_t size) : out_(out), room_(size) {}

  void put(char character) {
    if (size_ + 1 < room_) out_[size_] = character;
    size_++;
  }
  void put(const char* text, size_t limit) {
    for (size_t i = 0; i < limit && text[i] != '\0'; i++) put(text[i]);
  }
  void put(unsigned long value, unsigned radix, bool negative, unsigned width) {
    char digits[24];
    unsigned count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % radix];
      value /= radix;
    } while (value > 0);
    if (negative) put('-');
    for (unsigned filled = count + (negative ? 1 : 0); filled < width; filled++) put('0');
    while (count > 0) put(digits[--count]);
  }
  int finish() {
    if (room_ > 0) out_[size_ < room_ ? size_ : room_ - 1] = '\0';
    return static_cast<int>(size_);
  }

 private:
  char* out_;
  size_t room_;
  size_t size_ = 0;
};

void put(Output& out, const Conversion& conversion, const Argument& argument, size_t limit) {
  const auto value = static_cast<unsigned long>(argument.number);
  switch (conversion.kind) {
    case 'c':
      return out.put(static_cast<char>(argument.number));
    case 's':
      return out.put(argument.text, limit);
    case 'd':
      return out.put(argument.number < 0 ? 0 - value : value, 10, argument.number < 0, conversion.width);
    default:
      return out.put(value, conversion.kind == 'x' ? 16 : 10, false, conversion.width);
  }
}

}  // namespace

int format(char* out, size_t size, const char* text, const Argument* arguments) {
  Output output(out, size);
  while (*text != '\0') {
    if (*text != '%') {
      output.put(*text++);
      continue;
    }
    const Conversion conversion(text + 1);
    text = conversion.rest;
    size_t limit = SIZE_MAX;
    // As in C, less than 0 is no limit.
    if (conversion.has_limit && (arguments++)->number >= 0) limit = static_cast<size_t>(arguments[-1].number);
    put(output, conversion, *arguments++, limit);
  }
  return output.finish();
}

}  // namespace boxctl::libc
