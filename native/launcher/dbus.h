// As much of D-Bus as it takes to call a method and wait for a signal (D-Bus specification 0.43). Numbers are
// little-endian.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../shared/fd.h"
#include "../shared/list.h"

namespace boxctl::dbus {

// Types of messages, as the specification numbers them.
inline constexpr uint8_t kMethodCall = 1, kMethodReturn = 2, kError = 3, kSignal = 4;

// A method call that is being put together. Every value starts at a multiple of its size. Whether all of it fitted is
// asked once, at the end.
class Message {
 public:
  // `signature`: of the arguments, which follow by the functions below.
  Message(const char* destination, const char* path, const char* interface, const char* member, const char* signature,
          uint32_t serial);

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

// A connection to a message bus. Nothing is waited for longer than 10 seconds after its making. All functions return 0
// or -errno.
class Bus {
 public:
  // -ECONNREFUSED or -ENOENT: nobody listens. -EACCES: the bus does not accept this user.
  long connect_to(const char* path);
  long send_message(Message& message);
  // The next message. Its texts and its body are valid until the next call.
  long receive(Received& message);

 private:
  long authenticate();
  long send_all(const uint8_t* data, size_t size);
  long receive_all(uint8_t* data, size_t size);
  static bool read_fields(Values& values, Received& message);

  Fd socket_;
  List<uint8_t> memory_;
  uint8_t* buffer_ = nullptr;
  const long deadline_ = deadline();
  static long deadline();
};

}  // namespace boxctl::dbus
