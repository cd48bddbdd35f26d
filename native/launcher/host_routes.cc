#include "host_routes.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "../shared/fd.h"
#include "../shared/list.h"
#include "netlink.h"
#include "netlink_attributes.h"

namespace boxctl {
namespace {

// The kernel makes an answer to a dump no larger where the reader has no room for more.
constexpr size_t kMostAnswer = 8192;
// Routes that change while they are read are read again.
constexpr int kTries = 32;
// An attribute holds at most 64 KiB.
constexpr size_t kMostRanges = 500;
// Memory of this size is a mapping of its own (native/libc/memory.cc), of which nothing stays.
constexpr size_t kLarge = 64 * 1024;

using Number = unsigned __int128;

// Addresses from the first to the last one.
struct Range {
  Number first;
  Number last;
};

// Routes that count: those to the host itself have one of two types, and those to containers have a protocol of their
// own.
struct Kind {
  uint8_t type;
  uint8_t protocol;
  bool fits(const rtmsg& route) const {
    return (type == 0 || route.rtm_type == type) && (protocol == 0 || route.rtm_protocol == protocol);
  }
};
constexpr Kind kKinds[] = {{RTN_LOCAL, 0}, {RTN_ANYCAST, 0}, {0, kRoutesToContainers}};

struct Family {
  uint8_t number;
  size_t size;  // of an address, in bytes
  Number last;
};
constexpr Family kFamilies[] = {{AF_INET, 4, UINT32_MAX}, {AF_INET6, 16, ~Number{0}}};

// Adds the range in its order, by the first address. The kernel lists routes nearly in this order.
bool add_range(List<Range>& ranges, const Range& range) {
  if (!ranges.add(range)) return false;
  size_t at = ranges.size() - 1;
  for (; at > 0 && ranges[at - 1].first > range.first; at--) ranges[at] = ranges[at - 1];
  ranges[at] = range;
  return true;
}

bool add_route(List<Range>& ranges, const Family& family, const Kind& kind, const uint8_t* message, size_t size) {
  rtmsg route;
  if (size < NLMSG_ALIGN(sizeof route)) return true;
  memcpy(&route, message, sizeof route);
  if (!kind.fits(route) || route.rtm_family != family.number || route.rtm_dst_len > 8 * family.size) return true;
  Number first = 0;
  Attributes attributes(message + NLMSG_ALIGN(sizeof route), size - NLMSG_ALIGN(sizeof route));
  // A route to all addresses has none.
  if (attributes.find(RTA_DST) && attributes.length() == family.size) {
    for (size_t i = 0; i < family.size; i++) first = first << 8 | attributes.value()[i];
  }
  const Number rest = route.rtm_dst_len == 8 * family.size ? 0 : family.last >> route.rtm_dst_len;
  return add_range(ranges, {first, first | rest});
}

// Reads the answers to a dump. Netlink has each ready when it is asked for.
long read_routes(int fd, const Family& family, const Kind& kind, List<Range>& ranges) {
  bool changed = false;
  for (;;) {
    alignas(nlmsghdr) uint8_t answer[kMostAnswer];
    const ssize_t got = recv(fd, answer, sizeof answer, MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -errno;
    const auto size = static_cast<size_t>(got);
    if (size > sizeof answer) return -EMSGSIZE;
    for (size_t at = 0; at < size && size - at >= sizeof(nlmsghdr);) {
      nlmsghdr header;
      memcpy(&header, answer + at, sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - at) return -EPROTO;
      const uint8_t* const message = answer + at + sizeof header;
      const size_t length = header.nlmsg_len - sizeof header;
      changed = changed || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
        int32_t error = 0;
        if (length >= sizeof error) memcpy(&error, message, sizeof error);
        return error < 0 ? error : changed ? -EAGAIN : 0;
      }
      if (header.nlmsg_type == RTM_NEWROUTE && !add_route(ranges, family, kind, message, length)) return -ENOMEM;
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
}

// The routes of all tables: a rule can lead to any of them.
long collect(const Family& family, List<Range>& ranges) {
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid()) return -errno;
  const int on = 1;
  // The kernel then lists routes of one kind alone. There can be a million others.
  if (setsockopt(socket.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on) != 0) return -errno;
  ranges.clear();
  for (const Kind& kind : kKinds) {
    struct {
      nlmsghdr header;
      rtmsg route;
    } question = {};
    question.header = {sizeof question, RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, 0, 0};
    question.route.rtm_family = family.number;
    question.route.rtm_type = kind.type;
    question.route.rtm_protocol = kind.protocol;
    if (send(socket.get(), &question, sizeof question, MSG_NOSIGNAL) < 0) return -errno;
    const long error = read_routes(socket.get(), family, kind, ranges);
    // The kernel has no IPv6.
    if (error == -EOPNOTSUPP || error == -EAFNOSUPPORT) return 0;
    if (error != 0) return error;
  }
  return 0;
}

// Netlink messages that are written one after the other. `ok` is false once there was no memory left.
class Writer {
 public:
  bool ok() const { return ok_; }
  const List<uint8_t>& bytes() const { return bytes_; }

  bool make_room(size_t size) {
    if (!bytes_.resize(size)) return false;
    bytes_.clear();
    return true;
  }

  // Each of these gives the place for its end.
  size_t message(int type, int flags, uint8_t family, uint16_t resource = 0) {
    const size_t at = bytes_.size();
    const nlmsghdr header = {0, static_cast<uint16_t>(type), static_cast<uint16_t>(NLM_F_REQUEST | flags), 0, 0};
    const nfgenmsg rest = {family, NFNETLINK_V0, htons(resource)};
    put(&header, sizeof header);
    put(&rest, sizeof rest);
    return at;
  }
  size_t nest(int type) { return attribute(type | NLA_F_NESTED, nullptr, 0); }
  size_t attribute(int type, const void* value, size_t size) {
    const size_t at = bytes_.size();
    const nlattr header = {static_cast<uint16_t>(sizeof header + size), static_cast<uint16_t>(type)};
    put(&header, sizeof header);
    put(value, size);
    constexpr uint8_t kZeroes[NLA_ALIGNTO] = {};
    put(kZeroes, NLA_ALIGN(size) - size);
    return at;
  }
  void text(int type, const char* text) { attribute(type, text, strlen(text) + 1); }
  void end_message(size_t at) { set(at, static_cast<uint32_t>(bytes_.size() - at)); }
  void end(size_t at) { set(at, static_cast<uint16_t>(bytes_.size() - at)); }

 private:
  void put(const void* bytes, size_t size) { ok_ = ok_ && bytes_.add(static_cast<const uint8_t*>(bytes), size); }
  template <typename T>
  void set(size_t at, T length) {
    if (ok_) memcpy(bytes_.begin() + at, &length, sizeof length);
  }

  List<uint8_t> bytes_;
  bool ok_ = true;
};

constexpr int type_of(int message) { return NFNL_SUBSYS_NFTABLES << 8 | message; }

void write_element(Writer& out, const Family& family, Number address, bool is_end) {
  uint8_t bytes[16];
  for (size_t i = family.size; i > 0; i--, address >>= 8) bytes[i - 1] = static_cast<uint8_t>(address);
  const size_t element = out.nest(NFTA_LIST_ELEM);
  const size_t key = out.nest(NFTA_SET_ELEM_KEY);
  out.attribute(NFTA_DATA_VALUE, bytes, family.size);
  out.end(key);
  const uint32_t flags = htonl(NFT_SET_ELEM_INTERVAL_END);
  if (is_end) out.attribute(NFTA_SET_ELEM_FLAGS, &flags, sizeof flags);
  out.end(element);
}

struct Set {
  const char* table;
  const char* name;
  size_t begin(Writer& out, int message, int flags) const {
    const size_t at = out.message(type_of(message), NLM_F_ACK | flags, NFPROTO_NETDEV);
    out.text(NFTA_SET_ELEM_LIST_TABLE, table);
    out.text(NFTA_SET_ELEM_LIST_SET, name);
    return at;
  }
};

// In place of all that the set has. Ranges that overlap or touch become one: the kernel takes no others.
void write_set(Writer& out, const Set& set, const Family& family, const List<Range>& ranges) {
  out.end_message(set.begin(out, NFT_MSG_DELSETELEM, 0));
  for (size_t i = 0; i < ranges.size();) {
    const size_t message = set.begin(out, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    const size_t elements = out.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (size_t count = 0; count < kMostRanges && i < ranges.size(); count++) {
      Range whole = ranges[i++];
      for (; i < ranges.size() && (whole.last == family.last || ranges[i].first <= whole.last + 1); i++) {
        if (ranges[i].last > whole.last) whole.last = ranges[i].last;
      }
      write_element(out, family, whole.first, false);
      if (whole.last != family.last) write_element(out, family, whole.last + 1, true);
    }
    out.end(elements);
    out.end_message(message);
  }
}

}  // namespace

long write_addresses(int socket, const char* table, const char* const (&sets)[2]) {
  List<Range> ranges;
  Writer out;
  if (!ranges.resize(kLarge / sizeof(Range)) || !out.make_room(kLarge)) return -ENOMEM;
  out.end_message(out.message(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  for (size_t i = 0; i < 2; i++) {
    long error = -EAGAIN;
    for (int tries = 0; tries < kTries && error == -EAGAIN; tries++) error = collect(kFamilies[i], ranges);
    if (error != 0) return error;
    write_set(out, {table, sets[i]}, kFamilies[i], ranges);
  }
  out.end_message(out.message(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  if (!out.ok()) return -ENOMEM;
  Arg messages;
  messages.list = out.bytes().begin();
  messages.list_size = out.bytes().size();
  uint32_t detail;
  return send_messages(socket, messages, {}, detail);
}

}  // namespace boxctl
