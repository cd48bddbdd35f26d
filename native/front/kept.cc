#include "kept.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shared/directory.h"
#include "../shared/fd.h"

namespace boxctl {
namespace {

constexpr mode_t kOfOthers = S_IRWXG | S_IRWXO;

// Where the caller's images are, as src/host/dirs.ts chooses it. Invalid where that is not so simple.
Path store_of(const Program& program) {
  Path none;
  const char* wanted = variable(program, "BOXCTL_STORE");
  if (wanted != nullptr && wanted[0] != '\0') return Path(wanted[0] == '/' ? wanted : "").trim();
  if (geteuid() == 0) return Path("/var/lib/boxctl");
  const char* data = variable(program, "XDG_DATA_HOME");
  if (data != nullptr && data[0] == '/') return Path(data).trim().add("/boxctl");
  const char* home = variable(program, "HOME");
  if (home != nullptr && home[0] == '/') return Path(home).trim().add("/.local/share/boxctl");
  return none;
}

// In a folder with this status, nobody but root and the caller can exchange what is the caller's.
bool is_safe(const struct stat& status) {
  if (status.st_uid != 0 && status.st_uid != geteuid()) return false;
  if (status.st_mode & S_ISVTX) return true;
  const bool by_group =
      (status.st_mode & S_IWGRP) != 0 && status.st_gid != static_cast<gid_t>(call(SYS_getegid)) && status.st_gid != 0;
  return !by_group && (status.st_mode & S_IWOTH) == 0;
}

// Opens a folder part by part. A link on the way, or a folder that others can write to, makes it invalid.
Fd open_safe_folder(const char* path) {
  constexpr int kFolder = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  Fd folder(open("/", kFolder));
  struct stat status = {};
  const char* at = path;
  while (folder.valid()) {
    if (fstat(folder.get(), &status) != 0 || !is_safe(status)) return Fd();
    while (*at == '/') at++;
    if (*at == '\0') break;
    char part[NAME_MAX + 1];
    size_t size = 0;
    while (at[size] != '/' && at[size] != '\0' && size < sizeof part) size++;
    if (size == sizeof part) return Fd();
    memcpy(part, at, size);
    part[size] = '\0';
    at += size;
    folder = Fd(openat(folder.get(), part, kFolder));
  }
  const bool own = status.st_uid == geteuid() && (status.st_mode & kOfOthers) == 0;
  return own ? std::move(folder) : Fd();
}

class Hash {
 public:
  // With the NUL at its end.
  void add(const char* text) {
    do {
      value_ = (value_ ^ static_cast<uint8_t>(*text)) * 0x0000'0100'0000'01b3;
    } while (*text++ != '\0');
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf2'9ce4'8422'2325;
};

void put_hex(char* text, uint64_t number, int digits) {
  for (int i = digits; i-- > 0; number >>= 4) text[i] = "0123456789abcdef"[number & 15];
  text[digits] = '\0';
}

bool read_file(int folder, const char* name, List<uint8_t>& bytes) {
  const Fd file(openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status;
  if (!file.valid() || fstat(file.get(), &status) != 0) return false;
  const bool own = S_ISREG(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & kOfOthers) == 0;
  if (!own || status.st_nlink != 1) return false;
  if (status.st_size < static_cast<off_t>(sizeof(KeptHeader)) || status.st_size > static_cast<off_t>(kMaxKept))
    return false;
  if (!bytes.resize(static_cast<size_t>(status.st_size))) return false;
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = pread(file.get(), bytes.begin() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

// Of a file in a folder.
bool is_name(const Piece& piece) {
  const char* const name = piece.data;
  return piece.size > 0 && piece.size <= NAME_MAX && strlen(name) == piece.size && strchr(name, '/') == nullptr &&
         !Directory::is_dots(name);
}

bool is_same(const Piece& piece, const char* text) {
  return piece.data != nullptr && strlen(text) == piece.size && memcmp(piece.data, text, piece.size) == 0;
}

}  // namespace

Piece read_piece(Reader& in) {
  const uint32_t size = in.u32();
  if (size > kMaxKept) in.fail();
  if (!in.ok()) return {};
  const uint8_t* data = in.take(static_cast<size_t>(size) + 1);
  if (!in.ok() || data[size] != '\0') {
    in.fail();
    return {};
  }
  return {reinterpret_cast<const char*>(data), size};
}

namespace {

// The words that say which plan it is: all of them, or of an exec those up to the container. 0: Node has to read them.
int words_of_plan(const Program& program, Kept& kept) {
  if (strcmp(program.arguments[1], "exec") != 0) return program.count - 1;
  int at = 2;
  while (at < program.count && program.arguments[at][0] == '-') at++;
  int command = at + 1;
  if (command < program.count && strcmp(program.arguments[command], "--") == 0) {
    command++;
  } else if (command < program.count && program.arguments[command][0] == '-') {
    return 0;
  }
  if (command >= program.count || program.arguments[command][0] == '\0') return 0;
  // Node makes text of these bytes, which may not be the same bytes afterwards.
  for (int i = command; i < program.count; i++) {
    for (const char* c = program.arguments[i]; *c != '\0'; c++) {
      if (static_cast<unsigned char>(*c) >= 0x80) return 0;
    }
  }
  kept.command = program.arguments + command;
  return at;
}

bool add_number(List<uint8_t>& bytes, uint32_t number) {
  uint8_t raw[sizeof number];
  memcpy(raw, &number, sizeof number);
  return bytes.add(raw, sizeof raw);
}

// A text of a plan (native/launcher/plan.h) of up to three parts.
bool add_plan_text(List<uint8_t>& bytes, const char* one, const char* two = "", const char* three = "") {
  const uint8_t no_template = 0;
  const size_t size = strlen(one) + strlen(two) + strlen(three);
  if (size > UINT32_MAX || !bytes.add(no_template) || !add_number(bytes, static_cast<uint32_t>(size))) return false;
  for (const char* part : {one, two, three}) {
    if (!bytes.add(reinterpret_cast<const uint8_t*>(part), strlen(part))) return false;
  }
  return bytes.add('\0');
}

// Where execvp(3) would look for it (src/plan/command.ts).
bool add_candidates(List<uint8_t>& bytes, const char* program, const List<Piece>& folders) {
  if (strchr(program, '/') != nullptr) return add_number(bytes, 1) && add_plan_text(bytes, program);
  if (!add_number(bytes, static_cast<uint32_t>(folders.size()))) return false;
  for (const Piece& folder : folders) {
    if (!add_plan_text(bytes, folder.data, "/", program)) return false;
  }
  return true;
}

}  // namespace

bool find_kept(const Program& program, const Path& own, Kept& kept) {
  kept.program = &program;
  const int words = words_of_plan(program, kept);
  Path folder = store_of(program);
  char current[PATH_MAX];
  if (words == 0 || !folder.valid() || folder.text()[0] != '/' || !folder.add("/plans").valid()) return false;
  if (call(SYS_getcwd, current, sizeof current) <= 0 || current[0] != '/') return false;
  kept.folder = open_safe_folder(folder.text());
  if (!kept.folder.valid()) return false;
  Hash hash;
  hash.add(current);
  for (int i = 1; i <= words; i++) hash.add(program.arguments[i]);
  put_hex(kept.name, hash.value(), 16);
  return read_file(kept.folder.get(), kept.name, kept.bytes) && parse_kept(own, words, kept);
}

bool parse_kept(const Path& own, int words, Kept& kept) {
  const Program& program = *kept.program;
  Reader in(kept.bytes.begin(), kept.bytes.size());
  kept.header = in.take<KeptHeader>();
  const KeptHeader& header = kept.header;
  if (!in.ok() || header.magic != kKeptMagic || header.version != kKeptVersion) return false;
  if (header.size != kept.bytes.size() || header.words != static_cast<uint32_t>(words)) return false;
  if ((kept.command != nullptr) != (header.command_at != 0)) return false;
  if (header.background > (kept.command != nullptr ? 0 : 2)) return false;
  if (kept.command != nullptr && (header.tallies > 0 || header.numbers > 0)) return false;
  for (int i = 1; i <= words; i++) {
    if (!is_same(read_piece(in), program.arguments[i])) return false;
  }
  if (!is_same(read_piece(in), own.text())) return false;
  if (kept.command != nullptr) {
    kept.record = read_piece(in).data;
    kept.plan_file = read_piece(in).data;
    for (uint32_t i = 0; i < header.folders && in.ok(); i++) {
      if (!kept.search.add(read_piece(in))) return false;
    }
  } else {
    kept.records = read_piece(in).data;
    kept.layers = read_piece(in).data;
  }
  for (uint32_t i = 0; i < header.users && in.ok(); i++) {
    if (!kept.users.add(in.take<UserRange>())) return false;
  }
  if (kept.in_background()) {
    kept.containers = read_piece(in).data;
    const Piece name = read_piece(in);
    kept.container = name.data;
    if (!in.ok() || !is_name(name)) return false;
  }
  if (header.numbers > 0) {
    kept.in_use = read_piece(in).data;
    kept.network = read_piece(in).data;
    kept.ranges = read_piece(in);
    kept.claim = read_piece(in);
  }
  kept.inputs = in.at();
  return in.ok();
}

bool read_exec_plan(Kept& kept) {
  Path folder(kept.plan_file);
  const char* const name = strrchr(kept.plan_file, '/');
  if (name == nullptr || !folder.valid()) return false;
  const Fd opened = open_safe_folder(folder.leave().text());
  List<uint8_t> file;
  return opened.valid() && read_file(opened.get(), name + 1, file) && parse_exec_plan(file, kept);
}

bool parse_exec_plan(const List<uint8_t>& file, Kept& kept) {
  const KeptHeader& header = kept.header;
  Reader in(file.begin(), file.size());
  if (in.u32() != header.tag) return false;
  const uint8_t* const plan = in.take(header.plan_size);
  if (!in.ok() || !in.done() || header.plan_size < sizeof(PlanHeader)) return false;
  if (header.command_at < sizeof(PlanHeader) || header.command_at > header.plan_size) return false;
  List<uint8_t>& whole = kept.filled;
  uint32_t words = 0;
  while (kept.command[words] != nullptr) words++;
  bool fits = whole.add(plan, header.command_at) && add_candidates(whole, kept.command[0], kept.search);
  fits = fits && add_number(whole, words);
  for (uint32_t i = 0; i < words && fits; i++) fits = add_plan_text(whole, kept.command[i]);
  fits = fits && whole.add(plan + header.command_at, header.plan_size - header.command_at);
  const auto size = static_cast<uint32_t>(whole.size());
  if (!fits || size != whole.size()) return false;
  memcpy(whole.begin() + offsetof(PlanHeader, size), &size, sizeof size);
  kept.plan = whole.begin();
  kept.plan_size = whole.size();
  return true;
}

bool choose_id(Kept& kept) {
  uint64_t id = 0;
  if (getrandom(&id, 6, 0) != 6) return false;
  memcpy(kept.plan + offsetof(PlanHeader, id), &id, sizeof id);
  put_hex(kept.id, id, 12);
  return true;
}

bool read_run_files(const Kept& kept, List<uint8_t>& bytes) {
  Path name(kept.name);
  return name.add(".run").valid() && read_file(kept.folder.get(), name.text(), bytes);
}

}  // namespace boxctl
