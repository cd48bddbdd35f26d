#include "host_addresses.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <sys/socket.h>

#include <utility>

#include "events.h"
#include "host_routes.h"

namespace boxctl {
namespace {

// Changes that are taken from the socket before the routes are read.
constexpr int kMostChanges = 64;

// Drops all messages but those about routes that count, since others may change all the time, and about the end of an
// interface, with which routes of IPv4 go without a message. A message that ends before a byte that is loaded is
// dropped.
long take_needed_only(int fd) {
  constexpr uint32_t kRoute = NLMSG_HDRLEN;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 7, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWLINK), 5, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kRoute + offsetof(rtmsg, rtm_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTN_LOCAL, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTN_ANYCAST, 3, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kRoute + offsetof(rtmsg, rtm_protocol)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRoutesToContainers, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  const sock_fprog filter = {sizeof program / sizeof *program, program};
  return negate(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter));
}

}  // namespace

long HostAddresses::watch(uint16_t socket, const char* table, const char* set4, const char* set6) {
  Fd changes(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!changes.valid()) return -errno;
  if (const long error = take_needed_only(changes.get()); error != 0) return error;
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (bind(changes.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -errno;
  changes_ = std::move(changes);
  socket_ = socket;
  table_ = table;
  sets_[0] = set4;
  sets_[1] = set6;
  return update();
}

// What has changed is of no use, nor that messages were lost (ENOBUFS): the routes are read anew.
void HostAddresses::on_change(short) {
  char byte;
  for (int i = 0; i < kMostChanges && (recv(changes_.get(), &byte, 1, 0) >= 0 || errno == ENOBUFS); i++) {
  }
  const uint64_t begun = now_ns();
  // Without its program the container reaches nothing any more.
  if (update() != 0) context_.helper.end();
  worked_ = true;
  // With many addresses that change all the time, this takes a tenth of a processor and no more.
  rests_ = timer_.set(1 + (now_ns() - begun) * 10 / 1'000'000);
}

void HostAddresses::on_time(short) {
  if (!timer_.expired()) return;
  rests_ = false;
  worked_ = true;
}

long HostAddresses::update() const { return write_addresses(context_.slots[socket_], table_, sets_); }

}  // namespace boxctl
