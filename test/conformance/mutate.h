// The main function of a harness that is built without libFuzzer: mutates the given archives for some rounds each,
// repairing most checksums so that the mutants get past the first header.
//   HARNESS ITERATIONS ARCHIVE…
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

uint64_t state = 88172645463325252u;
uint64_t random_number() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

void repair_checksum(uint8_t* block) {
  memset(block + 148, ' ', 8);
  unsigned sum = 0;
  for (int i = 0; i < 512; i++) sum += block[i];
  snprintf(reinterpret_cast<char*>(block) + 148, 8, "%06o", sum);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const long rounds = atol(argv[1]);
  for (int i = 2; i < argc; i++) {
    FILE* const file = fopen(argv[i], "rb");
    if (file == nullptr) return 2;
    fseek(file, 0, SEEK_END);
    const auto size = static_cast<size_t>(ftell(file));
    rewind(file);
    auto* const seed = static_cast<uint8_t*>(malloc(size + 1));
    auto* const mutant = static_cast<uint8_t*>(malloc(size + 1));
    if (fread(seed, 1, size, file) != size) return 2;
    fclose(file);
    LLVMFuzzerTestOneInput(seed, size);
    for (long round = 0; round < rounds; round++) {
      memcpy(mutant, seed, size);
      size_t length = size;
      for (uint64_t edits = random_number() % 8 + 1; edits > 0 && size > 0; edits--) {
        const size_t at = random_number() % size;
        static const uint8_t kDigits[] = "01234567 \0\xff\x80xgLKS125=\n";
        mutant[at] = random_number() % 2 ? kDigits[random_number() % (sizeof kDigits - 1)]
                                         : static_cast<uint8_t>(random_number());
        if (random_number() % 8 != 0 && at / 512 * 512 + 512 <= size) repair_checksum(mutant + at / 512 * 512);
      }
      if (random_number() % 16 == 0) length = random_number() % (size + 1);
      LLVMFuzzerTestOneInput(mutant, length);
    }
    free(seed);
    free(mutant);
  }
  return 0;
}
