#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <utility>

#include "console.h"

namespace boxctl {
namespace {

constexpr int kBacklog = 64;
// The most bytes of one message in either direction.
constexpr size_t kInputPiece = 4096;
constexpr size_t kOutputPiece = 16384;
// The most that is given to `output` at a time.
constexpr size_t kMostOutput = 1 << 16;
// Milliseconds that a reader may take nothing of what is sent to it.
constexpr uint64_t kPatience = 2000;
// Milliseconds until a connection is tried again that the machine had no descriptor or memory for.
constexpr int kShortage = 1000;

// For each client. The kernel allocates their pages only as they are used.
alignas(4096) char outputs[Control::kMostClients][kMostOutput];
alignas(4096) char inputs[Control::kMostClients][kInputPiece];

// Other programs of this machine can see the socket, where the folder lets them: the kernel says who they are.
bool may_order(int fd, uid_t user) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == user || peer.uid == 0;
}

}  // namespace

void Control::start(uid_t user, void* owner, Handler handler, Console* console) {
  user_ = user;
  owner_ = owner;
  handler_ = handler;
  console_ = console;
  for (size_t i = 0; i < kMostClients; i++) {
    clients_[i].control = this;
    clients_[i].output = outputs[i];
    clients_[i].input = inputs[i];
  }
}

long Control::listen(int dirfd, const char* name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // The folder by its descriptor: its path may be longer than an address can be.
  const int size = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dirfd, name);
  if (size < 0 || static_cast<size_t>(size) >= sizeof address.sun_path) return -ENAMETOOLONG;
  Fd made(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid()) return -errno;
  if (bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -errno;
  if (::listen(made.get(), kBacklog) != 0) return -errno;
  listener_ = std::move(made);
  return 0;
}

void Control::add_sources(Poller& poller) {
  if (!listener_.valid()) return;
  // Descriptors of this process become free by what is handled in a turn of this loop, and are tried after each.
  if (starved_ != 0) {
    accept_next();
    // What its order has begun is waited for from the next turn on.
    if (starved_ == 0) poller.within(0);
  }
  bool has_input = false;
  for (Client& client : clients_) {
    if (!client.fd.valid()) continue;
    has_input = has_input || client.input_size > 0;
    const auto events = static_cast<short>(POLLIN | (client.wants_room() ? POLLOUT : 0));
    poller.add<&Client::on_message>(client.fd.get(), events, client);
  }
  if (has_input) poller.add<&Control::on_input_room>(console_->input(), POLLOUT, *this);
  if (behind()) poller.add<&Control::on_timer>(patience_.fd(), POLLIN, *this);
  // Others wait in the backlog until one of these is gone.
  if (is_full()) return;
  if (starved_ == 0) poller.add<&Control::on_connection>(listener_.get(), POLLIN, *this);
  // What the whole machine is short of, others give back.
  if (starved_ != 0 && starved_ != EMFILE) poller.within(kShortage);
}

bool Control::is_full() const {
  for (const Client& client : clients_) {
    if (!client.fd.valid()) return false;
  }
  return true;
}

void Control::on_connection(short) { accept_next(); }

// A connection that cannot be accepted stays in the backlog, and the listener readable.
void Control::accept_next() {
  if (is_full()) return;
  Fd made(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const bool is_short = !made.valid() && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
  starved_ = is_short ? errno : 0;
  if (!made.valid() || !may_order(made.get(), user_)) return;
  for (Client& client : clients_) {
    if (client.fd.valid()) continue;
    client.fd = std::move(made);
    // What it has sent already is read before orders that others send after it.
    return client.on_message(POLLIN);
  }
}

// ---- Those who are attached -----------------------------------------------------------------------------------------

void Control::Client::leave() {
  fd.reset();
  attached = false;
  gives_input = false;
  output_size = 0;
  input_size = 0;
  owes_word = false;
}

void Control::Client::on_message(short happened) {
  if (!fd.valid()) return;
  if (happened & POLLOUT) {
    if (owes_word) send_word();
    if (!send_output()) return;
  }
  if (!(happened & (POLLIN | POLLHUP | POLLERR))) return;
  struct {
    Order order;
    char bytes[kInputPiece];
  } message;
  ssize_t size;
  // ECONNRESET: it has gone with messages unread. The kernel says so once, and before it gives what was sent before.
  do size = recv(fd.get(), &message, sizeof message, MSG_DONTWAIT | MSG_TRUNC);
  while (size < 0 && errno == ECONNRESET);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const auto more = static_cast<size_t>(size) - sizeof message.order;
  if (size < static_cast<ssize_t>(sizeof message.order) || more > kInputPiece) return leave();
  switch (message.order.kind) {
    case kOrderAttach:
      if (more != 0) return leave();
      attached = true;
      gives_input = message.order.value != 0;
      return;
    case kOrderInput:
      // One piece at a time: the next one waits for the word that this one was passed on.
      if (!gives_input || input_size > 0 || owes_word || more == 0 || more != message.order.value) return leave();
      return take_input(message.bytes, more);
    default:
      if (more != 0) return leave();
      control->handler_(control->owner_, message.order);
  }
}

void Control::Client::take_input(const char* bytes, size_t size) {
  memcpy(input, bytes, size);
  input_at = 0;
  input_size = size;
  pass_input();
}

void Control::Client::pass_input() {
  if (input_size == 0) return;
  const long wrote = control->console_->give_input(input + input_at, input_size);
  if (wrote == -EAGAIN) return;
  // A command that has closed its input, or has ended, reads nothing more.
  const size_t done = wrote < 0 ? input_size : static_cast<size_t>(wrote);
  input_at += done;
  input_size -= done;
  if (input_size == 0) send_word();
}

// Without it the other side sends nothing more, so it must not be lost where the socket is full of output.
void Control::Client::send_word() {
  const Record record = {Event::kInputTaken, 0, 0, 0, 0, 0};
  owes_word = send(fd.get(), &record, sizeof record, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EAGAIN;
}

void Control::on_input_room(short) {
  for (Client& client : clients_) client.pass_input();
}

// False: it has gone.
bool Control::Client::send_output() {
  while (output_size > 0) {
    const size_t piece = output_size < kOutputPiece ? output_size : kOutputPiece;
    Order head = {static_cast<uint32_t>(Event::kOutput), static_cast<uint32_t>(stream)};
    iovec parts[] = {{&head, sizeof head}, {output + output_at, piece}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    if (sendmsg(fd.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno == EAGAIN || errno == EINTR) return true;
      leave();
      return false;
    }
    output_at += piece;
    output_size -= piece;
    control->patience_.set(kPatience);
  }
  return true;
}

void Control::output(Stream stream, const char* bytes, size_t size) {
  for (Client& client : clients_) {
    if (!client.attached) continue;
    // What cannot be sent at once is copied: the next bytes come into the same buffer.
    client.stream = stream;
    client.output_at = 0;
    client.output_size = size < kMostOutput ? size : kMostOutput;
    memcpy(client.output, bytes, client.output_size);
    // Without a timer the streams would be held up for ever.
    if (client.send_output() && client.output_size > 0 && !patience_.set(kPatience)) client.leave();
  }
}

bool Control::behind() const {
  for (const Client& client : clients_) {
    if (client.output_size > 0) return true;
  }
  return false;
}

void Control::on_timer(short) {
  if (!patience_.expired()) return;
  for (Client& client : clients_) {
    if (client.output_size > 0) client.leave();
  }
}

void Control::tell(const Record& event) {
  for (const Client& client : clients_) {
    if (client.fd.valid()) send(client.fd.get(), &event, sizeof event, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

}  // namespace boxctl
