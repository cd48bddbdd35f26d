#include "tally.h"

#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "netlink_attributes.h"

namespace boxctl {
namespace {

// Of one question: a set has a size that its maker chose, and each message holds a hundred elements and more.
constexpr int kMostMessages = 256;
// The largest that the kernel makes of an answer to a dump.
constexpr size_t kMessageSize = 32 * 1024;
// A key: the address; or the address, then the port and the protocol, each at a multiple of 4.
constexpr size_t kAddress4 = 4, kAddress6 = 16, kRest = 8;

// NFTA_COUNTER_PACKETS within a counter's attributes; 0 where there is none.
uint64_t packets_of(Attributes counter) {
  uint64_t packets = 0;
  if (counter.find(NFTA_COUNTER_PACKETS) && counter.length() == sizeof packets) {
    memcpy(&packets, counter.value(), sizeof packets);
  }
  return be64toh(packets);
}

void tell_element(uint32_t index, Attributes element, Events& events) {
  Record record = {Event::kRefusal, index, 0, 0, 0, 0};
  uint64_t packets = 0;
  bool has_key = false;
  while (element.next()) {
    if (element.type() == NFTA_SET_ELEM_KEY) {
      Attributes key = element.within();
      if (!key.find(NFTA_DATA_VALUE)) continue;
      const size_t size = key.length();
      const bool is_address = size == kAddress4 || size == kAddress6;
      if (!is_address && size != kAddress4 + kRest && size != kAddress6 + kRest) continue;
      const size_t address = is_address ? size : size - kRest;
      uint8_t bytes[kAddress6] = {};
      memcpy(bytes, key.value(), address);
      memcpy(&record.start, bytes, sizeof record.start);
      memcpy(&record.end, bytes + sizeof record.start, sizeof record.end);
      uint16_t port = 0;
      uint32_t protocol = 0;
      if (!is_address) {
        memcpy(&port, key.value() + address, sizeof port);
        protocol = key.value()[address + 4];
      }
      const uint32_t family = address == kAddress4 ? 4 : 6;
      record.value = family << 24 | protocol << 16 | be16toh(port);
      has_key = true;
    } else if (element.type() == NFTA_SET_ELEM_EXPR) {
      Attributes expression = element.within();
      if (expression.find(NFTA_EXPR_DATA)) packets = packets_of(expression.within());
    }
  }
  record.error = static_cast<int32_t>(packets < INT32_MAX ? packets : INT32_MAX);
  if (has_key) events.add(record);
}

void tell(uint32_t index, const nlmsghdr& header, const uint8_t* payload, size_t size, Events& events) {
  if (size < sizeof(nfgenmsg)) return;
  Attributes attributes(payload + sizeof(nfgenmsg), size - sizeof(nfgenmsg));
  if (header.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWOBJ)) {
    if (!attributes.find(NFTA_OBJ_DATA)) return;
    events.add({Event::kRefusals, index, 0, 0, packets_of(attributes.within()), 0});
  } else if (header.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM)) {
    if (!attributes.find(NFTA_SET_ELEM_LIST_ELEMENTS)) return;
    Attributes elements = attributes.within();
    while (elements.find(NFTA_LIST_ELEM)) tell_element(index, elements.within(), events);
  }
}

// Reads the answers to one question. Netlink has all of them ready when it is asked.
void read_answers(uint32_t index, int fd, Events& events) {
  static uint8_t buffer[kMessageSize];
  for (int i = 0; i < kMostMessages; i++) {
    const ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    const auto size = static_cast<size_t>(got);
    for (size_t at = 0; at < size && size - at >= sizeof(nlmsghdr);) {
      nlmsghdr header;
      memcpy(&header, buffer + at, sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - at) return;
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) return;
      tell(index, header, buffer + at + sizeof header, header.nlmsg_len - sizeof header, events);
      if ((header.nlmsg_flags & NLM_F_MULTI) == 0) return;
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
}

}  // namespace

void send_tallies(const Plan& plan, const Context& context, Events& events) {
  const uint8_t* at = plan.tallies_at;
  for (uint32_t i = 0; i < plan.tallies; i++) {
    const Tally tally = next_tally(plan, at);
    const int fd = context.slots[tally.socket];
    if (fd < 0 || send(fd, tally.question.list, tally.question.list_size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) continue;
    read_answers(i, fd, events);
  }
}

}  // namespace boxctl
