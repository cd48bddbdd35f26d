// Feeds arbitrary bytes to the launcher's check of plans, and reads to its end every plan that passes.
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined test/conformance/fuzz-plan.cc native/launcher/plan.cc
// Without (-DSTANDALONE, any compiler): mutates the given plans, as mutate.h says.
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/launcher/plan.h"

namespace {

constexpr size_t kSizeAt = 8;
uint64_t sum = 0;

void require(bool condition) {
  if (!condition) abort();
}

// What the launcher reads of netlink messages, and the places that it fills in: each in a message, behind its header.
void read_messages(const boxctl::Arg& arg) {
  size_t place_index = 0;
  uint64_t count = 0;
  for (size_t at = 0; at < arg.list_size; count++) {
    nlmsghdr header;
    require(arg.list_size - at >= sizeof header);
    memcpy(&header, arg.list + at, sizeof header);
    require(header.nlmsg_len >= sizeof header && header.nlmsg_len <= arg.list_size - at);
    for (; place_index < arg.place_count; place_index++) {
      uint32_t place;
      memcpy(&place, arg.places + place_index * sizeof place, sizeof place);
      if (place >= at + header.nlmsg_len) break;
      require(place >= at + sizeof header && place + sizeof place <= at + header.nlmsg_len);
    }
    at += header.nlmsg_len;
  }
  require(count == arg.number && count > 0 && place_index == arg.place_count);
}

// Every byte that the launcher would pass on.
void read_call(const boxctl::Plan& plan, const boxctl::Call& call) {
  const char* const kinds = boxctl::signature(call.op);
  require(kinds != nullptr && strlen(kinds) == call.count && call.count <= boxctl::kMaxArgs);
  require(call.returns == boxctl::kNoSlot || call.returns < plan.slots);
  for (uint8_t i = 0; i < call.count; i++) {
    const auto& arg = call.args[i];
    if (kinds[i] == 't') require(strlen(arg.text.data) == arg.text.size);
    for (size_t j = 0; j < arg.list_size; j++) sum += arg.list[j];
    if (kinds[i] == 'M') read_messages(arg);
  }
  for (uint8_t i = 0; i < call.allowed; i++) sum += call.tolerates(i);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  // In memory of just this size, so that one byte too many is noticed; with the size that it says it has.
  auto* const data = static_cast<uint8_t*>(malloc(size + (size == 0)));
  memcpy(data, bytes, size);
  const auto length = static_cast<uint32_t>(size);
  if (size >= kSizeAt + sizeof length) memcpy(data + kSizeAt, &length, sizeof length);
  const uint32_t steps = boxctl::step_count(data, size);
  auto** const places = static_cast<const uint8_t**>(calloc(size_t{steps} + 1, sizeof(uint8_t*)));
  boxctl::Plan plan;
  if (boxctl::check(data, size, places, plan)) {
    require(plan.steps == steps && plan.end <= data + size);
    for (uint32_t i = 0; i < plan.steps; i++) {
      const boxctl::Step step = boxctl::step(plan, i);
      read_call(plan, step.call);
      const uint8_t* at = step.undo;
      for (uint16_t j = 0; j < step.undos; j++) read_call(plan, boxctl::next_call(plan, at));
    }
    const uint8_t* at = plan.reports_at;
    for (uint32_t i = 0; i < plan.reports; i++) {
      const boxctl::Report report = boxctl::next_report(plan, at);
      require(strlen(report.file.data) == report.file.size && strlen(report.key.data) == report.key.size);
    }
    at = plan.tallies_at;
    for (uint32_t i = 0; i < plan.tallies; i++) {
      const boxctl::Tally tally = boxctl::next_tally(plan, at);
      require(tally.socket < plan.slots && tally.question.place_count == 0);
      read_messages(tally.question);
    }
  }
  free(places);
  free(data);
  return 0;
}

#ifdef STANDALONE
#include "mutate.h"
#endif
