// Says of each value of standard input, which has a NUL at its end, whether the front may put it in where a secret may not
// be: 1 or 0.
#include <stdio.h>
#include <string.h>

#include <string>

#include "../../../native/front/fill.h"
#include "../../../native/front/kept.h"

// What the other functions of fill.cc call.
namespace boxctl {
const char* variable(const Program&, const char*) { return nullptr; }
Piece read_piece(Reader&) { return {}; }
}  // namespace boxctl

int main() {
  std::string value;
  for (int c = getchar(); c != EOF; c = getchar()) {
    if (c != '\0') {
      value.push_back(static_cast<char>(c));
      continue;
    }
    putchar(boxctl::may_be_put_in(value.c_str(), true) ? '1' : '0');
    value.clear();
  }
  return 0;
}
