// What a start puts into a kept plan: values of the environment, which it has none of (src/state/marks.ts), and what
// goes with its number of addresses (src/state/numbers.ts).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../launcher/plan.h"
#include "../shared/list.h"
#include "program.h"

namespace boxctl {

// Whether Node would put in the same bytes, and would not want to judge them. `plain`: what may be a secret it would.
bool may_be_put_in(const char* value, bool plain);

struct Place {
  size_t at = 0;
  size_t size_at = 0;  // of a plan: where the length of the text is
  const char* value = nullptr;
};

// The places of a file. False: they are not in order, not within `size`, or a variable is not set.
bool read_places(const Program& program, Reader& in, uint32_t count, bool has_size, size_t size, List<Place>& places);

// A plan with the values in it. False: it is not sound, or there is no memory left.
bool fill_plan(const uint8_t* plan, size_t size, const List<Place>& places, List<uint8_t>& filled);

// Bytes `from` to `to` of a file of JSON texts with the values in them, each as a part of a string of JSON.
bool fill_json(const uint8_t* bytes, size_t from, size_t to, const List<Place>& places, List<uint8_t>& filled);

// What is otherwise in bytes of the same size.
struct Variant {
  uint32_t number = 0;
  const uint8_t* at = nullptr;  // pieces: at u32, size u32, bytes
  uint32_t pieces = 0;
};

// False: it is not sound, or does not lie within `size`.
bool read_variant(Reader& in, size_t size, Variant& variant);

void apply(const Variant& variant, uint8_t* bytes);

}  // namespace boxctl
