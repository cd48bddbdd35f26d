// snprintf(3) and a flag of renameat2(2), and nothing else of the usual header. A format is checked while it is
// compiled: a conversion that is not among those of format.cc, or an argument of another type, calls `unknown_format`,
// which cannot be called then, so the compiler stops there.
#pragma once

#include <stddef.h>

#define RENAME_NOREPLACE (1 << 0)

namespace boxctl::libc {

// An argument of snprintf.
struct Argument {
  enum class Kind { kSigned, kUnsigned, kText };
  Kind kind;
  // The size of the type: an `int` has no modifier, a `long` has `l`, a `long long` has `ll`.
  unsigned longs;
  long number = 0;
  const char* text = nullptr;

  constexpr Argument(int value) : kind(Kind::kSigned), longs(0), number(value) {}
  constexpr Argument(long value) : kind(Kind::kSigned), longs(1), number(value) {}
  constexpr Argument(long long value) : kind(Kind::kSigned), longs(2), number(static_cast<long>(value)) {}
  constexpr Argument(unsigned value) : kind(Kind::kUnsigned), longs(0), number(static_cast<long>(value)) {}
  constexpr Argument(unsigned long value) : kind(Kind::kUnsigned), longs(1), number(static_cast<long>(value)) {}
  constexpr Argument(unsigned long long value) : kind(Kind::kUnsigned), longs(2), number(static_cast<long>(value)) {}
  constexpr Argument(char value) : Argument(static_cast<int>(value)) {}
  constexpr Argument(const char* value) : kind(Kind::kText), longs(0), text(value) {}
};

// `%`, then `0` and a width, or `.*`; then `l` or `ll`; then `c`, `d`, `s`, `u` or `x`.
struct Conversion {
  unsigned width = 0;      // filled with zeroes
  bool has_limit = false;  // `.*`
  unsigned longs = 0;
  char kind = '\0';
  const char* rest = nullptr;

  constexpr explicit Conversion(const char* at) {
    if (*at == '0') {
      while (*at >= '0' && *at <= '9') width = 10 * width + static_cast<unsigned>(*at++ - '0');
    } else if (at[0] == '.' && at[1] == '*') {
      has_limit = true;
      at += 2;
    }
    while (*at == 'l') {
      longs++;
      at++;
    }
    kind = *at;
    rest = *at == '\0' ? at : at + 1;
  }

  constexpr bool takes(const Argument& argument) const {
    const bool is_number = kind == 'd' || kind == 'u' || kind == 'x';
    if (is_number && has_limit) return false;
    if (!is_number && (width > 0 || longs > 0)) return false;
    if (width > 24) return false;
    switch (kind) {
      case 'd':
        return argument.kind == Argument::Kind::kSigned && argument.longs == longs;
      case 'u':
      case 'x':
        return argument.kind == Argument::Kind::kUnsigned && argument.longs == longs;
      case 'c':
        return argument.kind == Argument::Kind::kSigned && argument.longs == 0 && !has_limit;
      case 's':
        return argument.kind == Argument::Kind::kText;
      default:
        return false;
    }
  }
};

inline void unknown_format() {}

template <typename... Args>
class Format {
 public:
  consteval Format(const char* text) : text_(text) {
    // Values of the right types stand for the arguments. One more, so that the list is never empty.
    const Argument arguments[] = {Argument(Args{})..., Argument(0)};
    size_t count = 0;
    for (const char* at = text; *at != '\0';) {
      if (*at++ != '%') continue;
      const Conversion conversion(at);
      at = conversion.rest;
      if (conversion.has_limit) {
        if (count == sizeof...(Args) || !Conversion("d").takes(arguments[count++])) unknown_format();
      }
      if (count == sizeof...(Args) || !conversion.takes(arguments[count++])) unknown_format();
    }
    if (count != sizeof...(Args)) unknown_format();
  }
  const char* text() const { return text_; }

 private:
  const char* text_;
};

int format(char* out, size_t size, const char* text, const Argument* arguments);

template <typename T>
struct Same {
  using Type = T;
};

}  // namespace boxctl::libc

// The number of bytes that the whole text has. What does not fit is left out, and a NUL follows where there is room for
// any byte.
template <typename... Args>
inline int snprintf(char* out, size_t size, boxctl::libc::Format<typename boxctl::libc::Same<Args>::Type...> format,
                    Args... args) {
  const boxctl::libc::Argument arguments[] = {boxctl::libc::Argument(args)..., boxctl::libc::Argument(0)};
  return boxctl::libc::format(out, size, format.text(), arguments);
}
