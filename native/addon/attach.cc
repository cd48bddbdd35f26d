#include "attach.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "../wire/events.h"
#include "result.h"

namespace boxctl {
namespace {

constexpr size_t kStack = 256 * 1024;
constexpr size_t kPiece = 4096;
// Milliseconds after which a terminal is looked at again: whether its size has changed, or a shell its mode.
constexpr int kLook = 100;

struct End {
  const char* how;
  int value;
};

class Attachment {
 public:
  Attachment(int socket, bool input, bool terminal, bool from_start, std::string keys)
      : socket_(socket), input_(input), terminal_(terminal), waits_for_start_(from_start), keys_(std::move(keys)) {}

  // From now on the launcher sends what the command writes. One that is about to start finds the terminal's size.
  void begin() {
    order(kOrderAttach, input_ ? 1 : 0);
    if (terminal_ && waits_for_start_) resize();
  }

  End run() {
    const bool has_terminal = terminal_ && tcgetattr(STDIN_FILENO, &saved_) == 0;
    raw_ = has_terminal && input_;
    if (terminal_ && !waits_for_start_) redraw();
    const End end = carry();
    if (raw_ && is_foreground()) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
    return end;
  }

 private:
  void order(uint32_t kind, uint32_t value) const {
    const Order message = {kind, value};
    send(socket_, &message, sizeof message, MSG_NOSIGNAL);
  }

  static bool is_foreground() { return tcgetpgrp(STDIN_FILENO) == getpgrp(); }

  // A program draws its screen again when the size changes, also to one that is the same afterwards.
  void redraw() {
    winsize size;
    if (!window(size)) return;
    order(kOrderResize, static_cast<uint32_t>(size.ws_col) << 16 | (size.ws_row + 1U));
    resize();
  }

  static bool window(winsize& size) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
      if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return true;
    }
    return false;
  }

  void resize() {
    winsize size;
    if (!window(size)) return;
    const uint32_t both = static_cast<uint32_t>(size.ws_col) << 16 | size.ws_row;
    if (both != size_) order(kOrderResize, both);
    size_ = both;
  }

  // After a stop of the job the shell has changed the mode.
  void make_raw() const {
    termios mode;
    if (!raw_ || waits_for_start_ || !is_foreground() || tcgetattr(STDIN_FILENO, &mode) != 0) return;
    if (!(mode.c_lflag & ICANON)) return;
    mode = saved_;
    cfmakeraw(&mode);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
  }

  End carry() {
    for (;;) {
      if (terminal_) {
        make_raw();
        resize();
      }
      pollfd polls[] = {{socket_, POLLIN, 0}, {input_ && !waits_ && !waits_for_start_ ? STDIN_FILENO : -1, POLLIN, 0}};
      const int ready = poll(polls, 2, terminal_ ? kLook : -1);
      if (ready <= 0) continue;
      if (polls[0].revents != 0) {
        End end = {nullptr, 0};
        if (!take_message(end)) return end;
      }
      if (polls[1].revents != 0 && !take_input()) return {"detached", 0};
    }
  }

  // False: `end` says why there will be no more.
  bool take_message(End& end) {
    const ssize_t size = recv(socket_, message_, sizeof message_, 0);
    if (size < 0 && errno == EINTR) return true;
    if (size < static_cast<ssize_t>(sizeof(Order))) {
      end = {"gone", 0};
      return false;
    }
    Record record = {};
    memcpy(&record, message_, static_cast<size_t>(size) < sizeof record ? static_cast<size_t>(size) : sizeof record);
    if (record.kind == Event::kStarted) waits_for_start_ = false;
    // Of the run before.
    if (waits_for_start_ && record.kind != Event::kInputTaken) return true;
    switch (record.kind) {
      case Event::kOutput: {
        const int error = write_all(record.index == 2 ? STDERR_FILENO : STDOUT_FILENO, message_ + sizeof(Order),
                                    static_cast<size_t>(size) - sizeof(Order));
        if (error != 0) end = {"output", error};
        return error == 0;
      }
      case Event::kInputTaken:
        waits_ = false;
        return true;
      case Event::kExited:
        end = {"exited", static_cast<int>(record.value)};
        return false;
      case Event::kSignaled:
        end = {"signaled", static_cast<int>(record.value)};
        return false;
      default:
        return true;
    }
  }

  static int write_all(int fd, const char* bytes, size_t size) {
    while (size > 0) {
      const ssize_t wrote = write(fd, bytes, size);
      if (wrote < 0 && errno == EAGAIN) {
        pollfd room = {fd, POLLOUT, 0};
        poll(&room, 1, -1);
      } else if (wrote < 0 && errno != EINTR) {
        return errno;
      } else if (wrote > 0) {
        bytes += wrote;
        size -= static_cast<size_t>(wrote);
      }
    }
    return 0;
  }

  // False: the keys were typed.
  bool take_input() {
    char typed[kPiece / 2];
    const ssize_t size = read(STDIN_FILENO, typed, sizeof typed);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (size <= 0) {
      // The command's input stays open for the next one who is attached.
      input_ = false;
      return true;
    }
    std::string bytes;
    bool leaves = false;
    for (ssize_t i = 0; i < size && !leaves; i++) {
      // Of the keys, the first ones are held back until it is clear whether the others follow.
      if (!keys_.empty() && typed[i] != keys_[matched_]) {
        bytes.append(keys_, 0, std::exchange(matched_, 0));
      }
      if (keys_.empty() || typed[i] != keys_[matched_]) {
        bytes.push_back(typed[i]);
      } else {
        leaves = ++matched_ == keys_.size();
      }
    }
    if (bytes.empty()) return !leaves;
    Order head = {kOrderInput, static_cast<uint32_t>(bytes.size())};
    std::string message(reinterpret_cast<const char*>(&head), sizeof head);
    message += bytes;
    send(socket_, message.data(), message.size(), MSG_NOSIGNAL);
    waits_ = true;
    return !leaves;
  }

  const int socket_;
  bool input_;
  const bool terminal_;
  bool waits_for_start_;
  const std::string keys_;
  bool raw_ = false;
  bool waits_ = false;  // for the word that the last input was taken
  size_t matched_ = 0;
  uint32_t size_ = 0;
  termios saved_ = {};
  char message_[1 << 16];
};

struct Job {
  Attachment attachment;
  Napi::ThreadSafeFunction function;
  End end = {nullptr, 0};
};

void deliver(Napi::Env env, Napi::Function callback, Job* job) {
  const std::unique_ptr<Job> owned(job);
  if (static_cast<napi_env>(env) == nullptr) return;
  callback.Call({Napi::String::New(env, owned->end.how), Napi::Number::New(env, owned->end.value)});
}

void* run(void* argument) {
  auto* const job = static_cast<Job*>(argument);
  job->end = job->attachment.run();
  Napi::ThreadSafeFunction function = job->function;
  if (function.NonBlockingCall(job, deliver) == napi_ok) function.Release();
  return nullptr;
}

}  // namespace

Napi::Value attach(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto keys = info[4].As<Napi::Uint8Array>();
  auto function = Napi::ThreadSafeFunction::New(env, info[5].As<Napi::Function>(), "boxctl-attach", 0, 1);
  auto job = std::unique_ptr<Job>(
      new Job{Attachment(info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Boolean>().Value(),
                         info[2].As<Napi::Boolean>().Value(), info[3].As<Napi::Boolean>().Value(),
                         std::string(reinterpret_cast<const char*>(keys.Data()), keys.ByteLength())),
              function});
  job->attachment.begin();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStack);
  // Signals are Node's business, but for those that stop a job that uses its terminal in the background.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigdelset(&all, SIGTTIN);
  sigdelset(&all, SIGTTOU);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, run, job.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    function.Release();
    return fail(env, "pthread_create", error);
  }
  static_cast<void>(job.release());
  return env.Undefined();
}

}  // namespace boxctl
