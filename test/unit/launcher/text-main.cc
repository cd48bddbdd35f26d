// Completes each template that is given as an argument, and writes the length of what came of it, or "none".
#include <stdio.h>
#include <string.h>

#include "../../../native/launcher/text.h"

int main(int count, char** arguments) {
  boxctl::Context context;
  memcpy(context.id, "0123456789ab", 13);
  context.child = 12345;
  if (!context.slots.make(2)) return 2;
  context.slots.put(0, 7);
  context.slot_count = 2;
  for (int i = 1; i < count; i++) {
    boxctl::Text text;
    text.data = arguments[i];
    text.size = static_cast<uint32_t>(strlen(arguments[i]));
    text.is_template = true;
    boxctl::Texts texts(context);
    const char* const made = texts.complete(text);
    if (made == nullptr) {
      puts("none");
    } else {
      printf("%zu %s\n", strlen(made), strlen(made) < 100 ? made : "");
    }
  }
  return 0;
}
