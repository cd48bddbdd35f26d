#include "systemd.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "../shared/fd.h"
#include "../shared/list.h"

namespace boxctl {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr size_t kMaxMessage = 64U << 10;

// Header fields and message types, as the specification numbers them.
constexpr uint8_t kMethodCall = 1, kMethodReturn = 2, kError = 3, kSignal = 4;
constexpr uint8_t kFieldPath = 1, kFieldInterface = 2, kFieldMember = 3, kFieldReplySerial = 5, kFieldDestination = 6,
                  kFieldSignature = 8;

// A message in the making, little-endian: every value starts at a multiple of its size. What does not fit is an error
// that is asked for once, at the end.
class Message {
 public:
  Message(const char* destination, const char* path, const char* interface, const char* member, const char* signature,
          uint32_t serial) {
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

  // To a multiple of 1, 2, 4 or 8.
  void align(size_t to) {
    constexpr uint8_t kZeroes[8] = {};
    put(kZeroes, (to - size_ % to) % to);
  }
  void u32(uint32_t value) {
    align(4);
    put(&value, 4);
  }
  void string(const char* text) {
    u32(static_cast<uint32_t>(strlen(text)));
    put(text, strlen(text) + 1);
  }
  void signature(const char* text) {
    const auto size = static_cast<uint8_t>(strlen(text));
    put(&size, 1);
    put(text, size + size_t{1});
  }
  // The place of the array's length, for close_array.
  size_t open_array(size_t alignment) {
    u32(0);
    const size_t at = size_ - 4;
    align(alignment);
    return at;
  }
  void close_array(size_t at, size_t alignment) {
    const size_t start = (at + 4 + alignment - 1) / alignment * alignment;
    patch(at, static_cast<uint32_t>(size_ - start));
  }
  // An entry of systemd's a(sv).
  void property(const char* name, const char* kind) {
    align(8);
    string(name);
    signature(kind);
  }

  // Null where it did not fit.
  const uint8_t* finish(size_t& size) {
    patch(4, static_cast<uint32_t>(size_ - body_));
    size = size_;
    return fits_ ? bytes_ : nullptr;
  }

 private:
  void field(uint8_t code, const char* kind, const char* value) {
    align(8);
    put(&code, 1);
    signature(kind);
    if (*kind == 'g') {
      signature(value);
    } else {
      string(value);
    }
  }
  void patch(size_t at, uint32_t value) {
    if (at + 4 <= sizeof bytes_) memcpy(bytes_ + at, &value, 4);
  }
  void put(const void* data, size_t size) {
    if (size > sizeof bytes_ - size_) {
      fits_ = false;
      return;
    }
    memcpy(bytes_ + size_, data, size);
    size_ += size;
  }

  uint8_t bytes_[2048] = {};
  size_t size_ = 0;
  size_t body_ = 0;
  bool fits_ = true;
};

// What is looked at of a message that came. The texts lie in the bus's buffer.
struct Received {
  uint8_t type = 0;
  uint32_t reply_to = 0;
  const char* member = "";
  const char* signature = "";
  const uint8_t* body = nullptr;
  size_t body_size = 0;
};

// Reads values out of a message; past its end everything is zero and empty, and `ok` false.
class Values {
 public:
  Values(const uint8_t* data, size_t at, size_t end) : data_(data), at_(at), end_(end) {}
  bool ok() const { return ok_; }
  bool more() const { return ok_ && at_ < end_; }
  void align(size_t to) { skip((to - at_ % to) % to); }
  uint8_t u8() {
    const uint8_t* from = skip(1);
    return from == nullptr ? uint8_t{0} : *from;
  }
  uint32_t u32() {
    align(4);
    const uint8_t* from = skip(4);
    uint32_t value = 0;
    if (from != nullptr) memcpy(&value, from, 4);
    return value;
  }
  const char* string() { return text(u32()); }
  const char* signature() { return text(u8()); }

 private:
  const char* text(size_t size) {
    const uint8_t* from = skip(size + 1);
    if (from == nullptr || from[size] != '\0') {
      ok_ = false;
      return "";
    }
    return reinterpret_cast<const char*>(from);
  }
  const uint8_t* skip(size_t size) {
    if (!ok_ || size > end_ - at_) {
      ok_ = false;
      return nullptr;
    }
    const uint8_t* from = data_ + at_;
    at_ += size;
    return from;
  }

  const uint8_t* data_;
  size_t at_;
  size_t end_;
  bool ok_ = true;
};

// A connection to a message bus.
class Bus {
 public:
  long connect_to(const char* path) {
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

  long send_message(Message& message) {
    size_t size = 0;
    const uint8_t* bytes = message.finish(size);
    return bytes == nullptr ? -EMSGSIZE : send_all(bytes, size);
  }

  long receive(Received& message) {
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
        return -EBADMSG;
      }
    }
    return values.ok() ? 0 : -EBADMSG;
  }

 private:
  static long now_ms() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
  }

  // EXTERNAL: the kernel tells the bus who we are, and the user id only repeats it.
  long authenticate() {
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

  long send_all(const uint8_t* data, size_t size) {
    while (size > 0) {
      const ssize_t sent = send(socket_.get(), data, size, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return -errno;
      data += sent;
      size -= static_cast<size_t>(sent);
    }
    return 0;
  }

  long receive_all(uint8_t* data, size_t size) {
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

  Fd socket_;
  List<uint8_t> memory_;
  uint8_t* buffer_ = nullptr;
  const long deadline_ = now_ms() + kPatienceMs;
};

constexpr const char* kDaemon = "org.freedesktop.DBus";
constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr uint32_t kHello = 1, kAddMatch = 2, kStart = 3;

long ask(Bus& bus, const char* unit) {
  Message hello(kDaemon, "/org/freedesktop/DBus", kDaemon, "Hello", "", kHello);
  long result = bus.send_message(hello);
  if (result != 0) return result;
  // Before the question, so that an answer cannot be missed.
  Message match(kDaemon, "/org/freedesktop/DBus", kDaemon, "AddMatch", "s", kAddMatch);
  match.string(
      "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='"
      "JobRemoved'");
  result = bus.send_message(match);
  if (result != 0) return result;

  // StartTransientUnit(name s, mode s, properties a(sv), aux a(sa(sv)))
  Message start(kSystemd, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit",
                "ssa(sv)a(sa(sv))", kStart);
  start.string(unit);
  start.string("fail");
  const size_t properties = start.open_array(8);
  start.property("Description", "s");
  start.string("container of boxctl");
  start.property("PIDs", "au");
  const size_t pids = start.open_array(4);
  start.u32(static_cast<uint32_t>(getpid()));
  start.close_array(pids, 4);
  start.property("Delegate", "b");
  start.u32(1);
  // It goes at its end, also when it failed.
  start.property("CollectMode", "s");
  start.string("inactive-or-failed");
  start.close_array(properties, 8);
  const size_t aux = start.open_array(8);
  start.close_array(aux, 8);
  return bus.send_message(start);
}

// Waits for the answer and the end of the job that it names.
long await_job(Bus& bus) {
  char job[256] = "";
  for (;;) {
    Received message;
    const long result = bus.receive(message);
    if (result != 0) return result;
    Values body(message.body, 0, message.body_size);
    if (message.type == kError && message.reply_to != 0) return -EREMOTEIO;
    if (message.type == kMethodReturn && message.reply_to == kStart) {
      snprintf(job, sizeof job, "%s", body.string());
    } else if (message.type == kSignal && strcmp(message.member, "JobRemoved") == 0 &&
               strcmp(message.signature, "uoss") == 0) {
      body.u32();
      const char* path = body.string();
      body.string();
      const char* outcome = body.string();
      // The answer comes before the signal: both are sent by the same process, in this order.
      if (body.ok() && *job != '\0' && strcmp(path, job) == 0) return strcmp(outcome, "done") == 0 ? 0 : -EREMOTEIO;
    }
  }
}

// Our own folder in the version 2 hierarchy, which must be the scope's.
int open_own(const char* unit, const char* hierarchy) {
  const Fd file(open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC));
  char text[8192];
  const ssize_t size = file.valid() ? read(file.get(), text, sizeof text - 1) : -1;
  if (size < 0) return -errno;
  text[size] = '\0';
  const char* line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
  if (line == nullptr) return -EXDEV;
  line = strchr(line, '/');
  const size_t length = line == nullptr ? 0 : strcspn(line, "\n");
  const char* name = line == nullptr ? nullptr : static_cast<const char*>(memrchr(line, '/', length));
  const size_t unit_length = strlen(unit);
  if (name == nullptr || static_cast<size_t>(line + length - name) != unit_length + 1) return -EXDEV;
  if (strncmp(name + 1, unit, unit_length) != 0) return -EXDEV;
  char path[8192 + 256];
  if (snprintf(path, sizeof path, "%s%.*s", hierarchy, static_cast<int>(length), line) >=
      static_cast<int>(sizeof path)) {
    return -ENAMETOOLONG;
  }
  return static_cast<int>(negate(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)));
}

}  // namespace

int start_transient_scope(const char* socket_path, const char* unit, const char* hierarchy) {
  Bus bus;
  long result = bus.connect_to(socket_path);
  if (result == 0) result = ask(bus, unit);
  if (result == 0) result = await_job(bus);
  return result == 0 ? open_own(unit, hierarchy) : static_cast<int>(result);
}

}  // namespace boxctl
