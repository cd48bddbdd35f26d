// Reads the attributes of a netlink message.
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace boxctl {

// Attributes one after the other, within bytes that may end too early.
class Attributes {
 public:
  Attributes(const uint8_t* at, size_t size) : at_(at), size_(size) {}

  // The next one, of which `type` is without flags. False: there is none, or none that is whole.
  bool next() {
    nlattr header;
    if (size_ < sizeof header) return false;
    memcpy(&header, at_, sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > size_) return false;
    type_ = header.nla_type & NLA_TYPE_MASK;
    value_ = at_ + sizeof header;
    length_ = header.nla_len - sizeof header;
    const size_t padded = NLA_ALIGN(size_t{header.nla_len});
    const size_t step = padded < size_ ? padded : size_;
    at_ += step;
    size_ -= step;
    return true;
  }
  bool find(int type) {
    while (next()) {
      if (type_ == type) return true;
    }
    return false;
  }
  int type() const { return type_; }
  const uint8_t* value() const { return value_; }
  size_t length() const { return length_; }
  Attributes within() const { return {value_, length_}; }

 private:
  const uint8_t* at_;
  size_t size_;
  const uint8_t* value_ = nullptr;
  size_t length_ = 0;
  int type_ = 0;
};

}  // namespace boxctl
