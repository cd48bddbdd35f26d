// What a plan was made from, as it is kept (src/state/kept-bytes.ts).
#pragma once

#include <stdint.h>

#include "../launcher/plan.h"
#include "../shared/list.h"
#include "kept.h"

namespace boxctl {

struct Input {
  InputKind kind = InputKind::kPath;
  uint8_t flags = 0;
  const char* name = nullptr;  // of a path, a fact or a variable
  uint32_t number = 0;         // an error, a mode of access(2), the type of a file system, a bit for each column
  KeptIdentity identity = {};
  const char* other = nullptr;  // of a table: what its lines are left out by; of a setting: its lock
  Piece value;
  List<Piece> lines;  // parts of those that count
};

// The next one. False: it is not sound.
bool read_input(Reader& in, Input& input);

}  // namespace boxctl
