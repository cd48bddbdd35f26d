#include "inside.h"

#include "handover.h"

namespace boxctl {

bool perform_step(Context& context, Events& events, const Step& step, uint32_t index, Result& result) {
  const uint64_t start = events.now();
  result = perform(context, step.call, step.dependent && context.left_out);
  context.left_out = result.skipped;
  if (result.value < 0) return false;
  if (step.call.op == Op::kBindFree && !result.skipped) {
    events.add({Event::kPort, index, 0, static_cast<uint32_t>(result.value), 0, 0});
  }
  events.add({result.skipped ? Event::kSkipped : Event::kDone, index, 0, 0, start, events.now()});
  return true;
}

namespace {

class Inside {
 public:
  Inside(const Plan& plan, Context& context, int control)
      : plan_(plan), context_(context), events_(control, plan.flags & kFlagTerse) {}

  [[noreturn]] void walk() {
    for (;;) {
      uint32_t index = await_turn();
      for (; index < plan_.steps; index++) {
        const Step current = step(plan_, index);
        if (current.side != Side::kContainer) break;
        make(current, index);
      }
      events_.flush();
      Handover turn;
      turn.kind = kTurn;
      turn.index = index;
      if (send_handover(context_.peer.get(), turn) != 0) _exit(125);
    }
  }

 private:
  uint32_t await_turn() {
    for (;;) {
      Handover message;
      // The launcher has ended, and could not undo any further step.
      if (receive_handover(context_.peer.get(), message, context_.received) != 0) _exit(125);
      if (message.kind == kTurn) return message.index;
      if (message.kind != kPassed) continue;
      // The kernel leaves a descriptor out where this process may have no more.
      if (!context_.received.valid()) fail(message.index, -EMFILE, 0);
      context_.slots.put(step(plan_, message.index).call.returns, context_.received.release());
    }
  }

  void make(const Step& current, uint32_t index) {
    if (index == plan_.quiet) announce(index);
    Result result;
    if (context_.again && current.once)
      return events_.add({Event::kSkipped, index, 0, 0, events_.now(), events_.now()});
    if (perform_step(context_, events_, current, index, result)) {
      if (index + 1 < plan_.steps) return;
      // The plan has no command.
      _exit(0);
    }
    fail(index, result.value, result.detail);
  }

  // The last step does not return. From here on, the launcher takes it for success when the handover's socket closes
  // without a failure. It also sends the events of the quiet steps, since a filter may forbid this side to send any.
  void announce(uint32_t index) {
    events_.flush();
    Handover ready;
    ready.kind = kReady;
    ready.index = index;
    if (send_handover(context_.peer.get(), ready) != 0) _exit(125);
    if (plan_.flags & kFlagGate) await_turn();
    const long error = prepare_command(context_);
    if (error < 0) fail(index, error, 0);
  }

  [[noreturn]] void fail(uint32_t index, long error, uint32_t detail) {
    events_.flush();
    Handover failure;
    failure.kind = kFailure;
    failure.index = index;
    failure.error = static_cast<int32_t>(-error);
    failure.detail = detail;
    send_handover(context_.peer.get(), failure);
    _exit(125);
  }

  const Plan& plan_;
  Context& context_;
  Events events_;
};

}  // namespace

void walk_inside(const Plan& plan, Context& context, int control) { Inside(plan, context, control).walk(); }

}  // namespace boxctl
