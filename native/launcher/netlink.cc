#include "netlink.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../shared/fd.h"
#include "../shared/list.h"

namespace boxctl {
namespace {

// A larger transaction does not fit in the default send buffer of a socket (net.core.wmem_default).
constexpr size_t kUsualBuffer = 64 * 1024;

// The largest answer. With NETLINK_CAP_ACK it does not contain the message; otherwise, a message of usual size fits.
constexpr size_t kMaxAnswer = 32 * 1024;

// Another launcher may create the object first (EEXIST), and the object may be removed before the next question.
constexpr int kTries = 3;

// Counts the messages that ask for an answer.
size_t answers_of(const Arg& messages) {
  size_t count = 0;
  for (size_t at = 0; at < messages.list_size;) {
    nlmsghdr header;
    memcpy(&header, messages.list + at, sizeof header);
    count += (header.nlmsg_flags & NLM_F_ACK) != 0;
    at += header.nlmsg_len;
  }
  return count;
}

long send_all(int fd, const uint8_t* bytes, size_t size) {
  if (size > kUsualBuffer) {
    const int room = static_cast<int>(2 * size);
    // SO_SNDBUF is limited by net.core.wmem_max. If that is too small, send(2) fails with EMSGSIZE.
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  }
  long sent;
  do sent = negate(send(fd, bytes, size, MSG_NOSIGNAL));
  while (sent == -EINTR);
  return sent < 0 ? sent : 0;
}

long send_filled(int fd, const Arg& messages, const Filled& filled) {
  if (messages.place_count == 0) return send_all(fd, messages.list, messages.list_size);
  List<uint8_t> bytes;
  if (!bytes.add(messages.list, messages.list_size)) return -ENOMEM;
  for (size_t i = 0; i < messages.place_count; i++) {
    uint32_t place;
    memcpy(&place, messages.places + i * sizeof place, sizeof place);
    uint32_t which;
    memcpy(&which, bytes.begin() + place, sizeof which);
    const uint32_t number = which == 0 ? static_cast<uint32_t>(filled.child) : filled.link;
    memcpy(bytes.begin() + place, &number, sizeof number);
  }
  return send_all(fd, bytes.begin(), bytes.size());
}

// The offset of the error in the message, from the attributes of the kernel's answer (NLMSGERR_ATTR_OFFS), or 0.
uint32_t mistake_at(const uint8_t* answer, size_t size) {
  nlmsghdr header;
  nlmsgerr error;
  memcpy(&header, answer, sizeof header);
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return 0;
  memcpy(&error, answer + sizeof header, sizeof error);
  size_t at = sizeof header + sizeof error;
  if ((header.nlmsg_flags & NLM_F_CAPPED) == 0 && error.msg.nlmsg_len > sizeof error.msg)
    at += NLMSG_ALIGN(error.msg.nlmsg_len - sizeof error.msg);
  while (at < size && size - at >= sizeof(nlattr)) {
    nlattr attribute;
    memcpy(&attribute, answer + at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > size - at) return 0;
    uint32_t offset;
    if (attribute.nla_type == NLMSGERR_ATTR_OFFS && attribute.nla_len >= sizeof attribute + sizeof offset) {
      memcpy(&offset, answer + at + sizeof attribute, sizeof offset);
      return offset;
    }
    at += NLA_ALIGN(attribute.nla_len);
  }
  return 0;
}

// Reads `expected` answers, or after an error those that are left. It never waits: the kernel has queued all answers
// before send(2) returns.
long read_answers(int fd, size_t expected, uint32_t& detail) {
  // Not in static memory, of which what was touched would stay beside the container.
  uint8_t buffer[kMaxAnswer];
  long first = 0;
  for (size_t answers = 0; answers < expected || first != 0;) {
    const long got = negate(recv(fd, buffer, sizeof buffer, MSG_DONTWAIT));
    if (got == -EINTR) continue;
    if (first != 0 && got < 0) return first;
    // The kernel has sent fewer answers than expected.
    if (got == -EAGAIN) return -EPROTO;
    if (got < 0) return got;
    const auto size = static_cast<size_t>(got);
    for (size_t at = 0; at < size && size - at >= sizeof(nlmsghdr);) {
      nlmsghdr header;
      memcpy(&header, buffer + at, sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - at) break;
      if (header.nlmsg_type == NLMSG_ERROR && header.nlmsg_len >= sizeof header + sizeof(nlmsgerr)) {
        nlmsgerr error;
        memcpy(&error, buffer + at + sizeof header, sizeof error);
        answers++;
        if (error.error != 0 && first == 0) {
          first = error.error;
          const uint32_t number = error.msg.nlmsg_seq == 0 ? 0 : error.msg.nlmsg_seq - 1;
          detail = number << 16 | (mistake_at(buffer + at, header.nlmsg_len) & 0xffff);
        }
      }
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
  return first;
}

}  // namespace

long interface_index(int fd, const char* name) {
  ifreq interface = {};
  if (strlen(name) >= sizeof interface.ifr_name) return -ENAMETOOLONG;
  memcpy(interface.ifr_name, name, strlen(name) + 1);
  const long result = negate(ioctl(fd, SIOCGIFINDEX, &interface));
  return result < 0 ? result : interface.ifr_ifindex;
}

long send_messages(int fd, const Arg& messages, const Filled& filled, uint32_t& detail) {
  const long sent = send_filled(fd, messages, filled);
  return sent < 0 ? sent : read_answers(fd, answers_of(messages), detail);
}

long send_messages_once(int fd, const Arg& question, const Arg& messages, const Filled& filled, uint32_t& detail) {
  long result = -EEXIST;
  for (int tries = 0; tries < kTries && result == -EEXIST; tries++) {
    result = send_messages(fd, question, filled, detail);
    if (result == -ENOENT) result = send_messages(fd, messages, filled, detail);
  }
  return result;
}

}  // namespace boxctl
