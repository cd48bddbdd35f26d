// Compares what a plan was made from with what is there now. Whatever is not understood, or cannot be looked at,
// differs.
#include "inputs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../shared/fd.h"
#include "../shared/interface_addresses.h"
#include "../shared/syscalls.h"
#include "fill.h"

namespace boxctl {
namespace {

constexpr size_t kMostText = 4 << 20;

bool is_same(const Piece& piece, const char* text, size_t size) {
  return piece.data != nullptr && piece.size == size && memcmp(piece.data, text, size) == 0;
}
bool is_same(const Piece& piece, const char* text) { return is_same(piece, text, strlen(text)); }

bool is_number(const Piece& piece, uint64_t number) {
  char digits[24];
  size_t at = sizeof digits;
  do {
    digits[--at] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number > 0);
  return is_same(piece, digits + at, sizeof digits - at);
}

uint64_t nanoseconds(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

bool path_holds(const Input& input) {
  struct stat status;
  const int follow = input.flags & kInputFollows ? 0 : AT_SYMLINK_NOFOLLOW;
  const long result = call(SYS_newfstatat, AT_FDCWD, input.name, &status, follow);
  if (input.flags & kInputAbsent) return input.number == static_cast<uint32_t>(-result) && result != 0;
  const KeptIdentity& was = input.identity;
  if (result != 0 || was.dev != status.st_dev || was.ino != status.st_ino || was.rdev != status.st_rdev) return false;
  if (was.mode != status.st_mode || was.uid != status.st_uid || was.gid != status.st_gid) return false;
  if (!(input.flags & kInputWhole)) return true;
  return was.file_size == static_cast<uint64_t>(status.st_size) && was.mtime == nanoseconds(status.st_mtim) &&
         was.ctime == nanoseconds(status.st_ctim);
}

bool real_holds(const Input& input) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  const bool itself = is_same(input.value, input.name);
  // The kernel refuses a path with a link in it.
  if (itself) how.resolve = RESOLVE_NO_SYMLINKS;
  const Fd file(static_cast<int>(call(kSysOpenat2, AT_FDCWD, input.name, &how, sizeof how)));
  if (input.flags & kInputAbsent) return !file.valid();
  if (!file.valid() || itself) return file.valid();
  char link[32] = "/proc/self/fd/";
  size_t size = strlen(link);
  char digits[12];
  size_t count = 0;
  for (int number = file.get(); number > 0 || count == 0; number /= 10)
    digits[count++] = static_cast<char>('0' + number % 10);
  while (count > 0) link[size++] = digits[--count];
  link[size] = '\0';
  char target[PATH_MAX];
  const ssize_t length = readlinkat(AT_FDCWD, link, target, sizeof target);
  return length > 0 && is_same(input.value, target, static_cast<size_t>(length));
}

bool access_holds(const Input& input) {
  const bool allowed = call(SYS_faccessat, AT_FDCWD, input.name, static_cast<int>(input.number)) == 0;
  return allowed == !(input.flags & kInputAbsent);
}

// The whole of a file that the kernel writes, whose size is not known before.
bool read_all(const char* path, List<char>& text) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return false;
  for (size_t size = 0;;) {
    if (size > kMostText || !text.resize(size + 4096)) return false;
    const ssize_t got = read(file.get(), text.begin() + size, 4096);
    if (got < 0) return false;
    size += static_cast<size_t>(got);
    if (got == 0) return text.resize(size);
  }
}

bool has(const char* line, size_t size, const Piece& part) {
  for (size_t at = 0; at + part.size <= size; at++) {
    if (memcmp(line + at, part.data, part.size) == 0) return true;
  }
  return false;
}

// Whether the line has a part; `headings`: what follows `^` in one that begins so.
bool has_part(const char* line, size_t size, const List<Piece>& parts, bool headings) {
  for (const Piece& part : parts) {
    const bool is_heading = part.size > 0 && part.data[0] == '^';
    const size_t skipped = is_heading ? 1 : 0;
    if (is_heading == headings && has(line, size, {part.data + skipped, part.size - skipped})) return true;
  }
  return false;
}

// Keeps the lines with one of the parts, and their headings, as src/inputs/outside.ts does.
bool keep_lines(List<char>& text, const List<Piece>& parts) {
  size_t kept = 0;
  size_t heading = 0;
  size_t heading_size = 0;
  const auto keep = [&](size_t at, size_t size) {
    memmove(text.begin() + kept, text.begin() + at, size);
    kept += size;
  };
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && text[end] != '\n') end++;
    const size_t size = (end < text.size() ? end + 1 : end) - at;
    if (has_part(text.begin() + at, end - at, parts, true)) {
      heading = at;
      heading_size = size;
    }
    if (has_part(text.begin() + at, end - at, parts, false)) {
      keep(heading, heading_size);
      heading_size = 0;
      keep(at, size);
    }
    at += size;
  }
  return text.resize(kept);
}

bool text_holds(const Input& input) {
  List<char> text;
  const bool read = read_all(input.name, text);
  if (input.flags & kInputAbsent) return !read;
  if (!read || (input.lines.size() > 0 && !keep_lines(text, input.lines))) return false;
  return is_same(input.value, text.begin(), text.size());
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

// Adds a line of a table as src/inputs/outside.ts makes it of the kernel's.
bool add_line(List<char>& table, const char* at, const char* end, const Input& input) {
  const size_t before = table.size();
  for (uint32_t column = 0; at < end; column++) {
    while (at < end && is_space(*at)) at++;
    const char* const word = at;
    while (at < end && !is_space(*at)) at++;
    const auto size = static_cast<size_t>(at - word);
    if (size == 0) break;
    if (is_numbered(word, size, input.other)) return table.resize(before);
    if (table.size() > before && !table.add(' ')) return false;
    const bool counts = column < 32 && (input.number >> column & 1) != 0;
    if (!(counts ? table.add(word, size) : table.add('-'))) return false;
  }
  return table.size() == before || table.add('\n');
}

bool table_holds(const Input& input) {
  List<char> text;
  List<char> table;
  const bool read = read_all(input.name, text);
  if (input.flags & kInputAbsent) return !read;
  if (!read) return false;
  for (const char* at = text.begin(); at < text.end();) {
    const char* end = at;
    while (end < text.end() && *end != '\n') end++;
    if (!add_line(table, at, end, input)) return false;
    at = end + 1;
  }
  return is_same(input.value, table.begin(), table.size());
}

// The text of a small file without space around it. False: it cannot be read.
bool read_trimmed(const char* path, List<char>& text) {
  if (!read_all(path, text)) return false;
  const auto is_around = [](char c) { return is_space(c) || c == '\n' || c == '\r'; };
  size_t from = 0;
  size_t to = text.size();
  while (to > 0 && is_around(text[to - 1])) to--;
  while (from < to && is_around(text[from])) from++;
  memmove(text.begin(), text.begin() + from, to - from);
  return text.resize(to - from);
}

bool setting_holds(const Input& input) {
  List<char> now;
  List<char> before;
  const bool there = read_trimmed(input.name, now);
  if (input.flags & kInputAbsent) return !there;
  if (!there) return false;
  const bool changed = read_trimmed(input.other, before) && before.size() > 0;
  const List<char>& counts = changed ? before : now;
  return is_same(input.value, counts.begin(), counts.size());
}

bool addresses_hold(const Input& input) {
  InterfaceAddresses addresses(input.name);
  return input.flags == 0 && addresses.read() == 0 &&
         is_same(input.value, addresses.text().begin(), addresses.text().size());
}

bool file_system_holds(const Input& input) {
  struct statfs status;
  const bool there = call(SYS_statfs, input.name, &status) == 0;
  if (input.flags & kInputAbsent) return !there;
  return there && input.number == static_cast<uint32_t>(status.f_type);
}

uint64_t processors() {
  unsigned long mask[128] = {};
  const long size = call(SYS_sched_getaffinity, 0, sizeof mask, mask);
  uint64_t count = 0;
  for (size_t i = 0; size > 0 && i < static_cast<size_t>(size) / sizeof *mask; i++) {
    for (unsigned long rest = mask[i]; rest != 0; rest &= rest - 1) count++;
  }
  return count;
}

bool fact_holds(const Input& input) {
  const char* const name = input.name;
  const Piece& value = input.value;
  if (input.flags != 0) return false;
  utsname system;
  if (strcmp(name, "release") == 0) return call(SYS_uname, &system) == 0 && is_same(value, system.release);
  if (strcmp(name, "hostname") == 0) return call(SYS_uname, &system) == 0 && is_same(value, system.nodename);
  if (strcmp(name, "cpus") == 0) return is_number(value, processors());
  if (strcmp(name, "uid") == 0) return is_number(value, getuid());
  if (strcmp(name, "euid") == 0) return is_number(value, geteuid());
  if (strcmp(name, "egid") == 0) return is_number(value, static_cast<gid_t>(call(SYS_getegid)));
  if (strcmp(name, "folder") == 0) {
    char current[PATH_MAX];
    return call(SYS_getcwd, current, sizeof current) > 0 && is_same(value, current);
  }
  constexpr char kNamespace[] = "namespace.";
  if (strncmp(name, kNamespace, sizeof kNamespace - 1) != 0) return false;
  char target[64];
  const ssize_t size =
      readlinkat(AT_FDCWD, Path("/proc/self/ns/").add(name + sizeof kNamespace - 1).text(), target, sizeof target);
  return size > 0 && is_same(value, target, static_cast<size_t>(size));
}

bool variable_holds(const Program& program, const Input& input) {
  const char* now = variable(program, input.name);
  if (input.flags & kInputAbsent) return now == nullptr;
  if (input.flags & kInputGiven) return now != nullptr && may_be_put_in(now, (input.flags & kInputPlain) != 0);
  return now != nullptr && is_same(input.value, now);
}

Reader inputs_of(const Kept& kept) { return Reader(kept.inputs, static_cast<size_t>(kept.bytes.end() - kept.inputs)); }

bool holds(const Program& program, const Input& input) {
  switch (input.kind) {
    case InputKind::kPath:
      return path_holds(input);
    case InputKind::kReal:
      return real_holds(input);
    case InputKind::kAccess:
      return access_holds(input);
    case InputKind::kText:
      return text_holds(input);
    case InputKind::kTable:
      return table_holds(input);
    case InputKind::kSetting:
      return setting_holds(input);
    case InputKind::kAddresses:
      return addresses_hold(input);
    case InputKind::kFileSystem:
      return file_system_holds(input);
    case InputKind::kFact:
      return fact_holds(input);
    case InputKind::kVariable:
      return variable_holds(program, input);
  }
  return false;
}

}  // namespace

bool read_input(Reader& in, Input& input) {
  input.kind = static_cast<InputKind>(in.u8());
  input.flags = in.u8();
  const Piece name = read_piece(in);
  input.name = name.data;
  if (!in.ok() || strlen(name.data) != name.size) return false;
  const bool absent = (input.flags & kInputAbsent) != 0;
  if (input.kind == InputKind::kText) {
    const uint32_t count = in.u32();
    for (uint32_t i = 0; i < count && in.ok(); i++) {
      if (!input.lines.add(read_piece(in))) return false;
    }
  }
  switch (input.kind) {
    case InputKind::kPath:
      if (absent)
        input.number = in.u32();
      else
        input.identity = in.take<KeptIdentity>();
      break;
    case InputKind::kAccess:
      input.number = in.u32();
      break;
    case InputKind::kFileSystem:
      if (!absent) input.number = in.u32();
      break;
    case InputKind::kTable:
    case InputKind::kSetting: {
      const Piece other = read_piece(in);
      input.other = other.data;
      if (!in.ok() || strlen(other.data) != other.size) return false;
      if (input.kind == InputKind::kTable) input.number = in.u32();
      if (!absent) input.value = read_piece(in);
      break;
    }
    case InputKind::kAddresses:
    case InputKind::kReal:
    case InputKind::kText:
    case InputKind::kFact:
    case InputKind::kVariable:
      if (!absent && (input.flags & kInputGiven) == 0) input.value = read_piece(in);
      break;
    default:
      return false;
  }
  return in.ok();
}

bool parse_plan(Reader& in, Kept& kept) {
  const KeptHeader& header = kept.header;
  if (!read_places(*kept.program, in, header.fills, true, header.plan_size, kept.places)) return false;
  kept.rules = in.take(header.reports);
  kept.tallies = in.take(header.tallies);
  kept.plan = const_cast<uint8_t*>(in.take(header.plan_size));
  kept.plan_size = header.plan_size;
  for (uint32_t i = 0; i < header.numbers && in.ok(); i++) {
    Variant variant;
    variant.number = in.u32();
    if (!read_variant(in, header.plan_size, variant) || !kept.numbers.add(variant)) return false;
  }
  return in.ok() && in.done() && kept.plan_size >= sizeof(PlanHeader);
}

bool complete_plan(Kept& kept) {
  if (kept.numbers.size() > 0) apply(kept.numbers[kept.chosen], kept.plan);
  if (kept.places.size() == 0) return true;
  if (!fill_plan(kept.plan, kept.plan_size, kept.places, kept.filled)) return false;
  kept.plan = kept.filled.begin();
  kept.plan_size = kept.filled.size();
  return true;
}

bool read_plan(Kept& kept) {
  Reader in = inputs_of(kept);
  for (uint32_t i = 0; i < kept.header.inputs; i++) {
    Input input;
    if (!read_input(in, input)) return false;
  }
  return kept.command != nullptr ? in.done() && read_exec_plan(kept) : parse_plan(in, kept);
}

bool still_holds(const Kept& kept) {
  Reader in = inputs_of(kept);
  for (uint32_t i = 0; i < kept.header.inputs; i++) {
    Input input;
    if (!read_input(in, input) || !holds(*kept.program, input)) return false;
  }
  return true;
}

}  // namespace boxctl
