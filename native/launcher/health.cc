#include "health.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "calls.h"

namespace boxctl {
namespace {

bool write_at(int fd, const void* data, size_t size, size_t at) {
  return pwrite(fd, data, size, static_cast<off_t>(at)) == static_cast<ssize_t>(size);
}

}  // namespace

void Health::start(const Plan& plan, const Context& context, Events& events, int folder) {
  if (!find_exec(plan, kExecHealth, 0, check_)) return;
  context_ = &context;
  events_ = &events;
  asks_ = true;
  began_ = now_ns();
  constexpr int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
  if (folder >= 0) file_ = Fd(openat(folder, "health", flags, 0600));
  become(kHealthStarting);
  schedule();
}

void Health::stop() {
  asks_ = false;
  exec_.abandon();
}

void Health::add_sources(Poller& poller) {
  if (!asks_) return;
  exec_.add_sources(poller);
  if (!exec_.running()) poller.add<&Health::on_time>(timer_.fd(), POLLIN, *this);
}

void Health::advance() {
  if (asks_ && asked_at_ != 0 && !exec_.running()) conclude();
}

bool Health::in_start_period() const {
  return now_ns() - began_ < static_cast<uint64_t>(check_.start_period) * 1'000'000;
}

void Health::schedule() {
  const bool early = state_ == kHealthStarting && in_start_period();
  // Without a timer there are no more checks.
  timer_.set(std::max<uint32_t>(early ? check_.start_interval : check_.interval, 1));
}

void Health::on_time(short) {
  if (!asks_ || !timer_.expired()) return;
  asked_at_ = wall_clock_ms();
  if (exec_.start(check_, *context_) == 0) return;
  // There is no memory, or no process: as little is known of the container as before.
  asked_at_ = 0;
  schedule();
}

void Health::conclude() {
  const bool good = exec_.way() == Exec::Way::kExited && exec_.status() == 0;
  const bool early = state_ == kHealthStarting && in_start_period();
  write_result(exec_.way() == Exec::Way::kExited ? static_cast<int32_t>(exec_.status()) : -1);
  asked_at_ = 0;
  failures_ = good || early ? 0 : failures_ + 1;
  if (good) {
    become(kHealthHealthy);
  } else if (failures_ >= std::max<uint32_t>(check_.retries, 1)) {
    become(kHealthUnhealthy);
  } else {
    write_header();
  }
  schedule();
}

void Health::become(uint32_t state) {
  const bool changes = std::exchange(state_, state) != state;
  write_header();
  if (!changes) return;
  events_->add({Event::kHealth, 0, 0, state, 0, wall_clock_ms()});
  events_->flush();
}

// On a full disk, and in the foreground, there is no file: the state is told by events all the same.
void Health::write_header() const {
  if (!file_.valid()) return;
  const HealthHeader header = {state_, failures_, results_};
  write_at(file_.get(), &header, sizeof header, 0);
}

void Health::write_result(int32_t status) {
  const uint64_t place = results_++ % kHealthResults;
  if (!file_.valid()) return;
  HealthResult result = {};
  result.start = asked_at_;
  result.end = wall_clock_ms();
  result.status = status;
  result.size = static_cast<uint32_t>(exec_.words().size());
  result.timed_out = exec_.way() == Exec::Way::kTimedOut;
  if (exec_.way() == Exec::Way::kFailed) {
    result.step = exec_.failed_step();
    result.error = exec_.error();
  }
  const size_t at = sizeof(HealthHeader) + place * (sizeof result + FirstWords::kMost);
  write_at(file_.get(), &result, sizeof result, at);
  write_at(file_.get(), exec_.words().data(), exec_.words().size(), at + sizeof result);
}

}  // namespace boxctl
