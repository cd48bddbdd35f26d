// Asks nf_tables of this network namespace each question that is given as an argument in hexadecimal (one netlink
// message), and writes the events that the launcher would send to its owner to standard output.
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../../native/launcher/tally.h"

int main(int count, char** arguments) {
  static uint8_t bytes[65536];
  size_t size = 0;
  for (int i = 1; i < count; i++) {
    const uint32_t length = static_cast<uint32_t>(strlen(arguments[i]) / 2);
    // The descriptor's slot, and a list of messages (plan.h).
    size += 2;
    memcpy(bytes + size, &length, sizeof length);
    size += sizeof length;
    for (uint32_t at = 0; at < length; at++) {
      const char digits[] = {arguments[i][2 * at], arguments[i][2 * at + 1], '\0'};
      bytes[size++] = static_cast<uint8_t>(strtoul(digits, nullptr, 16));
    }
    size += sizeof(uint32_t);
  }
  boxctl::Context context;
  if (!context.slots.make(1)) return 2;
  context.slots.put(0, socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  context.slot_count = 1;
  boxctl::Plan plan;
  plan.tallies = static_cast<uint32_t>(count - 1);
  plan.tallies_at = bytes;
  plan.end = bytes + size;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  boxctl::Events events(ends[0]);
  boxctl::send_tallies(plan, context, events);
  events.flush();
  close(ends[0]);
  ssize_t got;
  while ((got = read(ends[1], bytes, sizeof bytes)) > 0) fwrite(bytes, 1, static_cast<size_t>(got), stdout);
  return 0;
}
