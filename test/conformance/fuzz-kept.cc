// Feeds arbitrary bytes to the front's readers of kept plans, and goes through all that they give. Nothing of what the
// bytes name is opened.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/front/fill.h"
#include "../../native/front/inputs.h"
#include "../../native/front/kept.h"
#include "../../native/front/memberships.h"
#include "../../native/front/run_files.h"
#include "../../native/libc/start.h"

// Only the program itself asks for its stack.
namespace boxctl::libc {
const uintptr_t* initial_stack() { abort(); }
}  // namespace boxctl::libc

namespace {

using boxctl::Kept;
using boxctl::KeptHeader;
using boxctl::KeptRunHeader;
using boxctl::List;
using boxctl::Path;
using boxctl::Piece;
using boxctl::Program;
using boxctl::Reader;

constexpr int kMostWords = 16;
char program_name[] = "boxctl";
char value[] = "A=a value with \"quotes\", \\ and\ta tab";
char long_value[] =
    "B=------------------------------------------------------------------------------------------------";
char home[] = "HOME=/root";
char* environment[] = {value, long_value, home, nullptr};
uint64_t sum = 0;

void require(bool condition) {
  if (!condition) abort();
}

void read_bytes(const uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; i++) sum += bytes[i];
}

void read_piece(const Piece& piece) {
  if (piece.data == nullptr) return;
  require(piece.data[piece.size] == '\0');
  read_bytes(reinterpret_cast<const uint8_t*>(piece.data), piece.size);
}

void read_text(const char* text) { sum += strlen(text); }

void read_run_files(const Kept& kept, List<uint8_t>&& bytes) {
  boxctl::RunFiles files;
  if (!files.parse(kept, static_cast<List<uint8_t>&&>(bytes))) return;
  files.set_run("0123456789ab");
  require(files.count() <= boxctl::kMostRunFiles);
  for (size_t i = 0; i < files.count(); i++) {
    List<uint8_t> text;
    if (files.text_of(i, text)) read_bytes(text.begin(), text.size());
  }
}

// The words and the folder are those of the file: they are compared with what the program knows.
bool take_words(const List<uint8_t>& bytes, Program& program, Path& own, char** words) {
  Reader in(bytes.begin(), bytes.size());
  const auto header = in.take<KeptHeader>();
  if (!in.ok() || header.words > kMostWords) return false;
  program.count = static_cast<int>(header.words) + 1;
  words[0] = program_name;
  for (int i = 1; i <= static_cast<int>(header.words); i++) {
    words[i] = const_cast<char*>(boxctl::read_piece(in).data);
    if (words[i] == nullptr) return false;
  }
  const Piece folder = boxctl::read_piece(in);
  if (folder.data != nullptr) own.add(folder.data);
  return in.ok() && own.valid();
}

void look_at_plan(Kept& kept) {
  require(kept.plan_size >= sizeof(boxctl::PlanHeader));
  read_bytes(kept.plan, kept.plan_size);
  require(boxctl::choose_id(kept) && strlen(kept.id) == 12);
}

void read_kept(Kept& kept, Program& program) {
  Path own;
  char* words[kMostWords + 1] = {};
  program.arguments = words;
  if (!take_words(kept.bytes, program, own, words)) return;
  KeptHeader header;
  memcpy(&header, kept.bytes.begin(), sizeof header);
  char command[] = "command";
  char argument[] = "";
  char* rest[] = {command, argument, nullptr};
  if (header.command_at != 0) kept.command = rest;
  if (!boxctl::parse_kept(own, program.count - 1, kept)) return;
  for (const char* text : {kept.records, kept.layers, kept.containers, kept.container, kept.record, kept.plan_file,
                           kept.in_use, kept.network}) {
    read_text(text);
  }
  for (const Piece& piece : {kept.ranges, kept.claim}) read_piece(piece);
  sum += boxctl::may_be_beside(kept.claim.data, kept.claim.size, kept.claim.data, kept.claim.size) ? 1 : 0;
  for (const Piece& folder : kept.search) read_piece(folder);
  Reader in(kept.inputs, static_cast<size_t>(kept.bytes.end() - kept.inputs));
  for (uint32_t i = 0; i < kept.header.inputs; i++) {
    boxctl::Input input;
    if (!boxctl::read_input(in, input)) return;
    read_text(input.name);
    if (input.other != nullptr) read_text(input.other);
    read_piece(input.value);
    for (const Piece& line : input.lines) read_piece(line);
  }
  if (kept.command == nullptr) {
    if (!boxctl::parse_plan(in, kept)) return;
    for (const boxctl::Variant& variant : kept.numbers) boxctl::apply(variant, kept.plan);
    for (uint32_t i = 0; i < kept.header.tallies; i++) sum += kept.tallies[i];
    if (!boxctl::complete_plan(kept)) return;
    for (uint32_t i = 0; i < kept.header.reports; i++) sum += kept.rules[i];
    look_at_plan(kept);
    return;
  }
  // What follows is the other file, which has a tag before it.
  List<uint8_t> file;
  const auto left = static_cast<size_t>(kept.bytes.end() - in.at());
  uint8_t tag[sizeof kept.header.tag];
  memcpy(tag, &kept.header.tag, sizeof tag);
  kept.header.plan_size = static_cast<uint32_t>(left);
  if (!file.add(tag, sizeof tag) || !file.add(in.at(), left)) return;
  if (boxctl::parse_exec_plan(file, kept)) look_at_plan(kept);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Kept kept;
  Program program;
  program.environment = environment;
  kept.program = &program;
  List<uint8_t> bytes;
  // Of just this size, so that one byte too many is noticed.
  if (!bytes.resize(size)) return 0;
  if (size > 0) memcpy(bytes.begin(), data, size);
  uint32_t magic = 0;
  if (size >= sizeof magic) memcpy(&magic, data, sizeof magic);
  if (magic == boxctl::kKeptRunMagic && size >= sizeof(KeptRunHeader)) {
    memcpy(&kept.header.tag, data + offsetof(KeptRunHeader, tag), sizeof kept.header.tag);
    read_run_files(kept, static_cast<List<uint8_t>&&>(bytes));
  } else if (size >= sizeof(KeptHeader)) {
    const auto length = static_cast<uint32_t>(size);
    memcpy(bytes.begin() + offsetof(KeptHeader, size), &length, sizeof length);
    kept.bytes = static_cast<List<uint8_t>&&>(bytes);
    read_kept(kept, program);
  }
  return 0;
}
