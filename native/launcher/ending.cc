#include "ending.h"

#include <stdlib.h>
#include <string.h>

#include "../shared/list.h"
#include "proc.h"

namespace boxctl {
namespace {

// The number alone in the file, or after the key at the start of a line.
long read_report_value(const Context& context, const Report& report, uint64_t& value) {
  const int dirfd = context.slots[report.dirfd];
  if (dirfd < 0) return -ENOENT;
  char text[4096];
  const long size = read_text_file(dirfd, report.file.data, text, sizeof text);
  if (size < 0) return size;
  for (char* line = text; line != nullptr; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, report.key.data, report.key.size) != 0) continue;
    const char* number = line + report.key.size;
    if (report.key.size > 0 && *number != ' ') continue;
    char* end = nullptr;
    value = strtoull(number, &end, 10);
    return end == number ? -EBADMSG : 0;
  }
  return -ENODATA;
}

// Its descriptor is that of all runs.
bool is_kept(const Step& step) { return step.once && step.side == Side::kHost && step.call.returns != kNoSlot; }

}  // namespace

void close_unneeded(const Plan& plan, Context& context) {
  List<bool> needed;
  // Without memory they stay open.
  if (!needed.reset(plan.slots)) return;
  const auto keep = [&](uint64_t slot) {
    if (slot < plan.slots) needed[slot] = true;
  };
  for (uint32_t index = 0; index < plan.steps; index++) {
    const Step current = step(plan, index);
    // The pidfd.
    if (current.call.op == Op::kClone3 || is_kept(current)) keep(current.call.returns);
    // A lock is held through the undo of its file, since the lock ends with its descriptor.
    const uint8_t* at = current.undo;
    for (uint16_t u = 0; u < current.undos; u++) {
      const Call undo = next_call(plan, at);
      for (size_t i = 0; i < undo.count; i++) {
        if (signature(undo.op)[i] == 'f') keep(undo.args[i].number);
      }
    }
  }
  const uint8_t* at = plan.reports_at;
  for (uint32_t i = 0; i < plan.reports; i++) keep(next_report(plan, at).dirfd);
  at = plan.tallies_at;
  for (uint32_t i = 0; i < plan.tallies; i++) keep(next_tally(plan, at).socket);
  for (uint32_t i = 0; i < plan.slots; i++) {
    if (!needed[i]) context.slots.close(i);
  }
}

void send_reports(const Plan& plan, const Context& context, Events& events) {
  const uint8_t* at = plan.reports_at;
  for (uint32_t i = 0; i < plan.reports; i++) {
    const Report report = next_report(plan, at);
    uint64_t value = 0;
    const long result = read_report_value(context, report, value);
    events.add({Event::kReport, i, static_cast<int32_t>(-result), 0, value, 0});
  }
}

void close_run(const Plan& plan, Context& context) {
  List<bool> stays;
  if (!stays.reset(plan.slots)) return;
  for (uint32_t index = 0; index < plan.steps; index++) {
    const Step current = step(plan, index);
    if (is_kept(current)) stays[current.call.returns] = true;
  }
  for (uint32_t slot = 0; slot < plan.slots; slot++) {
    if (!stays[slot]) context.slots.close(slot);
  }
}

void undo(const Plan& plan, Context& context, Events& events, bool* done, Undone which) {
  for (uint32_t index = plan.steps; index-- > 0;) {
    if (!done[index]) continue;
    const Step current = step(plan, index);
    if (current.once != which.once || current.late != which.late) continue;
    done[index] = false;
    const uint8_t* at = current.undo;
    for (uint16_t u = 0; u < current.undos; u++) {
      const Result result = perform(context, next_call(plan, at));
      const auto error = static_cast<int32_t>(result.value < 0 ? -result.value : 0);
      events.add({Event::kUndo, index, error, 0, 0, 0});
    }
  }
}

}  // namespace boxctl
