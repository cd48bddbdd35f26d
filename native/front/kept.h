// A kept plan as src/state/kept-bytes.ts writes it. The file is the caller's own; its bytes are read as hostile all the
// same.
//
//   file     KeptHeader, word text…, folder of the program text, records text, layers text, UserRange…, in the
//            background containers text and name text, with numbers claim, input…, place…, report rule u8…,
//            TallyKind…, encoded plan, variant…
//   claim    how the paths begin that are there while a number is in use, text; the folder of claims' locks, text; how
//   the
//            file of the ranges begins, text; what the file of the claim has after its number, text
//   variant  number u32, how many pieces u32, piece…: at u32, size u32, bytes
//   input    kind u8, flags u8, name text, and by its kind:
//            path: errno u32 where it is absent, else KeptIdentity; real: where it leads, text
//            access: mode u32; text: count u32, part of a line text…, content text
//            table: without text, columns u32, content text; setting: lock text, value text
//            file system: type u32; fact, variable, addresses: value text
//            What is absent lacks the last of these, but has an errno or a mode; what is given has nothing.
//   place    of a value in the plan: at u32, where the length of its text is u32, variable text
//   text     length u32, bytes, NUL
//
// Of an exec there are two files, and the plan is in the folder of its container:
//
//   file     KeptHeader, word text…, folder of the program text, record text, path of the plan text, folder text…,
//            UserRange…, input…
//   plan     tag u32, encoded plan without the pathname and argv of its command: those are of the command line
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../launcher/plan.h"
#include "../shared/fd.h"
#include "../shared/list.h"
#include "../shared/out_of_reach.h"
#include "../wire/kept.h"
#include "fill.h"
#include "program.h"

namespace boxctl {

// A text of the file. Null: it is not sound.
struct Piece {
  const char* data = nullptr;
  size_t size = 0;
};

struct Kept {
  const Program* program = nullptr;
  Fd folder;  // of kept plans
  char name[24] = {};
  char id[16] = {};  // of this run, 12 hex digits
  List<uint8_t> bytes;
  KeptHeader header = {};
  const char* records = "";  // the folder of records
  const char* layers = "";   // the folder of writable layers
  List<UserRange> users;     // that processes of the container can have; none: any
  // In the background:
  const char* containers = "";  // the folder of containers
  const char* container = "";   // the container's name
  // With addresses of a number that is claimed:
  const char* in_use = "";   // how paths begin that end with the number, and are there while it is in use
  const char* network = "";  // the folder of claims' locks
  Piece ranges;              // how its file `pool` begins
  Piece claim;               // what the file of the claim has after its number
  List<Variant> numbers;     // that may be claimed
  size_t chosen = 0;         // which of them was
  // Of an exec:
  const char* record = "";     // of the container's run
  const char* plan_file = "";  // with the plan
  char** command = nullptr;    // ended by null; null: it is none
  List<Piece> search;          // the folders that the command is looked for in
  const uint8_t* inputs = nullptr;
  const uint8_t* rules = nullptr;    // by report: 1 where a number that is not 0 needs words
  const uint8_t* tallies = nullptr;  // by tally: its TallyKind
  List<Place> places;                // of values in the plan
  uint8_t* plan = nullptr;
  size_t plan_size = 0;
  List<uint8_t> filled;  // the plan where values were put in, or the command of an exec

  bool in_background() const { return header.background != 0; }
  // Where a container runs that was made from the same, nothing is to be done.
  bool leaves_same() const { return header.background == 2; }
};

// Reads the kept plan for the program's command line in the current folder. False: there is none that may be used.
// `own`: the folder of this program, whose plan it must be.
bool find_kept(const Program& program, const Path& own, Kept& kept);

// Reads `kept.bytes` up to the inputs: the first `words` words must be those of the program. False: they are not sound,
// or of another plan.
bool parse_kept(const Path& own, int words, Kept& kept);

// What follows the inputs. False: it is not sound.
bool parse_plan(Reader& in, Kept& kept);

// Finds the plan behind the inputs. False: it is not sound.
bool read_plan(Kept& kept);

// Whether everything that the plan was made from is as it was.
bool still_holds(const Kept& kept);

// Puts the values of this environment, and what goes with the chosen number, into the plan of a container. False: it is
// not sound, or there is no memory left.
bool complete_plan(Kept& kept);

// Reads the plan of an exec, and puts the command of the command line into it. False: it is not sound.
bool read_exec_plan(Kept& kept);

// The same of the file's bytes.
bool parse_exec_plan(const List<uint8_t>& file, Kept& kept);

// Whether the launcher of the container lives that an exec goes to.
bool is_alive(const Kept& kept);

// Gives the plan an id for this run. False: there is none to be had.
bool choose_id(Kept& kept);

// The file beside the plan's for a container that runs. False: it is not there, or may not be used.
bool read_run_files(const Kept& kept, List<uint8_t>& bytes);

// Whether a launcher that was killed has left something.
bool has_leftovers(const Kept& kept);

Piece read_piece(Reader& in);

}  // namespace boxctl
