#include "hooks.h"

#include <string.h>

#include "calls.h"

namespace boxctl {
namespace {

// Of what a command wrote, so much is told.
constexpr size_t kToldWords = 1024;
// The bytes of text in one record: they are in the place of its two times.
constexpr size_t kPiece = sizeof(Record::start) + sizeof(Record::end);

}  // namespace

bool Hooks::start(const Plan& plan, const Context& context, Events& events, uint32_t kind) {
  abandon();
  plan_ = &plan;
  context_ = &context;
  events_ = &events;
  kind_ = kind;
  next_ = 0;
  busy_ = begin_next();
  return busy_;
}

// False: there is no other.
bool Hooks::begin_next() {
  if (!find_exec(*plan_, kind_, next_, current_)) return false;
  next_++;
  if (const long error = exec_.start(current_, *context_); error != 0) failed_ = tell(error);
  return true;
}

void Hooks::add_sources(Poller& poller) {
  if (busy_) exec_.add_sources(poller);
}

bool Hooks::have_ended() {
  // One that could not be started has no end that could be waited for.
  while (busy_ && !exec_.running()) {
    if (!failed_) failed_ = tell(0);
    busy_ = !failed_ && begin_next();
    if (!busy_) return true;
  }
  return false;
}

// Whether it has failed.
bool Hooks::tell(long error) {
  const char* const words = exec_.words().data();
  const size_t size = exec_.words().size() < kToldWords ? exec_.words().size() : kToldWords;
  for (size_t at = 0; at < size; at += kPiece) {
    Record record = {Event::kHookSaid, current_.index, 0, 0, 0, 0};
    record.value = static_cast<uint32_t>(size - at < kPiece ? size - at : kPiece);
    memcpy(&record.start, words + at, record.value);
    events_->add(record);
  }
  Record record = {Event::kHook, current_.index, static_cast<int32_t>(-error), exec_.status(), 0, wall_clock_ms()};
  if (error == 0 && exec_.way() == Exec::Way::kFailed) {
    record.error = exec_.error();
    record.start = exec_.failed_step();
  }
  if (record.error != 0) record.value = 0;
  events_->add(record);
  events_->flush();
  return record.error != 0 || record.value != 0;
}

void Hooks::abandon() {
  busy_ = false;
  exec_.abandon();
}

}  // namespace boxctl
