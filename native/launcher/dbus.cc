#include "dbus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

namespace boxctl::dbus {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr size_t kMaxMessage = 64U << 10;

// Header fields, as the specification numbers them.
constexpr uint8_t kFieldPath = 1, kFieldInterface = 2, kFieldMember = 3, kFieldReplySerial = 5, kFieldDestination = 6,
                  kFieldSignature = 8;

long now_ms() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

Message::Message(const char* destination, const char* path, const char* interface, const char* member,
                 const char* signature, uint32_t serial) {
  for (const char c : {'l', static_cast<char>(kMethodCall), '\0', '\1'}) put(&c, 1);
  u32(0);  // length of the body, known at the end
  u32(serial);
  const size_t fields = open_array(8);
  field(kFieldPath, "o", path);
  field(kFieldInterface, "s", interface);
  field(kFieldMember, "s", member);
  field(kFieldDestination, "s", destination);
  if (*signature != '\0') field(kFieldSignature, "g", signature);
  close_array(fields, 8);
  align(8);
  body_ = size_;
}

long Bus::deadline() { return now_ms() + kPatienceMs; }

long Bus::connect_to(const char* path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (!memory_.resize(kMaxMessage)) return -ENOMEM;
  buffer_ = memory_.begin();
  if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
  memcpy(address.sun_path, path, strlen(path) + 1);
  socket_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_.valid()) return -errno;
  if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -errno;
  return authenticate();
}

long Bus::send_message(Message& message) {
  size_t size = 0;
  const uint8_t* bytes = message.finish(size);
  return bytes == nullptr ? -EMSGSIZE : send_all(bytes, size);
}

long Bus::receive(Received& message) {
  // The fixed part: order, type, flags, version, length of the body, serial, length of the fields.
  long result = receive_all(buffer_, 16);
  if (result != 0) return result;
  uint32_t body = 0;
  uint32_t fields = 0;
  memcpy(&body, buffer_ + 4, 4);
  memcpy(&fields, buffer_ + 12, 4);
  if (buffer_[0] != 'l' || body > kMaxMessage || fields > kMaxMessage) return -EBADMSG;
  const size_t start = (size_t{16} + fields + 7) / 8 * 8;
  if (start + body > kMaxMessage) return -EMSGSIZE;
  result = receive_all(buffer_ + 16, start + body - 16);
  if (result != 0) return result;
  message = {};
  message.type = buffer_[1];
  message.body = buffer_ + start;
  message.body_size = body;
  Values values(buffer_, 16, size_t{16} + fields);
  return read_fields(values, message) ? 0 : -EBADMSG;
}

// The header fields that are needed here. False: they are malformed, or of a kind that no bus sends in a header.
bool Bus::read_fields(Values& values, Received& message) {
  while (values.more()) {
    values.align(8);
    if (!values.more()) break;
    const uint8_t code = values.u8();
    const char* kind = values.signature();
    if (strcmp(kind, "u") == 0) {
      const uint32_t value = values.u32();
      if (code == kFieldReplySerial) message.reply_to = value;
    } else if (strcmp(kind, "g") == 0) {
      const char* value = values.signature();
      if (code == kFieldSignature) message.signature = value;
    } else if (strcmp(kind, "s") == 0 || strcmp(kind, "o") == 0) {
      const char* value = values.string();
      if (code == kFieldMember) message.member = value;
    } else {
      return false;
    }
  }
  return values.ok();
}

// EXTERNAL: the kernel tells the bus who we are, and the user id only repeats it.
long Bus::authenticate() {
  char digits[16];
  snprintf(digits, sizeof digits, "%u", static_cast<unsigned>(geteuid()));
  char line[64] = {};
  size_t size = static_cast<size_t>(snprintf(line, sizeof line, "%cAUTH EXTERNAL ", '\0'));
  for (const char* at = digits; *at != '\0'; at++) {
    size += static_cast<size_t>(snprintf(line + size, sizeof line - size, "%02x", static_cast<unsigned>(*at)));
  }
  size += static_cast<size_t>(snprintf(line + size, sizeof line - size, "\r\n"));
  const long sent = send_all(reinterpret_cast<const uint8_t*>(line), size);
  if (sent != 0) return sent;
  char answer[256];
  for (size_t at = 0; at + 1 < sizeof answer; at++) {
    const long result = receive_all(reinterpret_cast<uint8_t*>(answer) + at, 1);
    if (result != 0) return result;
    if (answer[at] != '\n') continue;
    if (strncmp(answer, "OK ", 3) != 0) return -EACCES;
    return send_all(reinterpret_cast<const uint8_t*>("BEGIN\r\n"), 7);
  }
  return -EBADMSG;
}

long Bus::send_all(const uint8_t* data, size_t size) {
  while (size > 0) {
    const ssize_t sent = send(socket_.get(), data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return -errno;
    data += sent;
    size -= static_cast<size_t>(sent);
  }
  return 0;
}

long Bus::receive_all(uint8_t* data, size_t size) {
  while (size > 0) {
    const long left = deadline_ - now_ms();
    pollfd wait = {socket_.get(), POLLIN, 0};
    const int ready = left <= 0 ? 0 : poll(&wait, 1, static_cast<int>(left));
    if (ready == 0) return -ETIMEDOUT;
    if (ready < 0 && errno == EINTR) continue;
    const ssize_t got = recv(socket_.get(), data, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? -errno : -ECONNRESET;
    data += got;
    size -= static_cast<size_t>(got);
  }
  return 0;
}

}  // namespace boxctl::dbus
